package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	payv1 "loom/internal/demo/pay/v1"
	shopv1 "loom/internal/demo/shop/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	// defaultRate, in calls a second, is as fast as a person can follow.
	defaultRate = 5
	// maxRate keeps a mistaken Rate from eating the machine.
	maxRate = 1000
	// maxOpenCalls bounds the calls open at once. Beyond it a call is left
	// out: traffic that waits for a stuck proxy would hide that it is stuck.
	maxOpenCalls = 64
	// patience is the deadline of a call that nothing is wrong with.
	patience = 10 * time.Second
)

// TrafficOption changes what NewTraffic makes.
type TrafficOption func(*Traffic)

// TrafficSeed decides the sequence of the calls. Without it that is the same
// each time.
func TrafficSeed(seed uint64) TrafficOption {
	return func(t *Traffic) { t.seed = seed }
}

// Rate is how many calls begin a second, above 0 and at most 1000; 5 by
// default.
func Rate(callsPerSecond float64) TrafficOption {
	return func(t *Traffic) { t.rate = callsPerSecond }
}

// TrafficTLS has the calls go over TLS; nil: in plain text.
func TrafficTLS(cfg *tls.Config) TrafficOption {
	return func(t *Traffic) { t.tls = cfg }
}

// Traffic calls the two backends as a few applications would, through one
// address. It never changes, so it is safe for concurrent use.
type Traffic struct {
	target string
	seed   uint64
	rate   float64
	tls    *tls.Config // nil: plain text
}

// NewTraffic returns traffic for a gRPC target, such as 127.0.0.1:9999 or
// unix:/run/loom.sock, at which both backends are found.
func NewTraffic(target string, options ...TrafficOption) *Traffic {
	t := &Traffic{target: target, seed: defaultSeed, rate: defaultRate}
	for _, option := range options {
		option(t)
	}
	return t
}

// Run makes calls until ctx ends, then cancels those that are open and returns
// nil when all of them have ended. A target that does not answer is tried
// again and again; the error tells of a target or a rate that can never work.
func (t *Traffic) Run(ctx context.Context) (err error) {
	if !(t.rate > 0 && t.rate <= maxRate) {
		return fmt.Errorf("run demo traffic: a rate of %v calls a second; it must be above 0 and at most %d", t.rate, maxRate)
	}
	apps, err := t.dial()
	defer func() {
		for _, a := range apps {
			err = errors.Join(err, a.conn.Close())
		}
	}()
	if err != nil {
		return err
	}
	t.play(ctx, apps)
	return nil
}

// play begins one scenario at each tick, each application in its turn, and
// returns when ctx and all scenarios have ended.
func (t *Traffic) play(ctx context.Context, apps []*app) {
	var open sync.WaitGroup
	defer open.Wait()
	slots := make(chan struct{}, maxOpenCalls)
	tick := time.NewTicker(time.Duration(float64(time.Second) / t.rate))
	defer tick.Stop()
	next := newDeck(t.seed)
	for turn := 0; ; turn++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case slots <- struct{}{}:
		default:
			continue
		}
		scenario, a := next.draw(), apps[turn%len(apps)]
		open.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(a.sign(ctx), patience)
			defer cancel()
			// What becomes of a call is for loomd to show, not for us.
			_ = scenario(a, ctx)
		})
	}
}

// app is one application that calls: a connection and what it calls itself.
// It is safe for concurrent use.
type app struct {
	// Immutable.
	conn   *grpc.ClientConn
	orders shopv1.OrdersClient
	ledger payv1.LedgerClient
	name   string
	tier   string

	dice *dice
}

// dial makes the applications; it connects to nothing yet. With an error come
// the applications that were made until then.
func (t *Traffic) dial() ([]*app, error) {
	secure := insecure.NewCredentials()
	if t.tls != nil {
		secure = credentials.NewTLS(t.tls)
	}
	var apps []*app
	for _, who := range []struct{ name, version, tier string }{
		{"checkout-web", "2.4.1", "gold"},
		{"phone-app", "5.0.3", "silver"},
		{"nightly-report", "1.7.0", "bronze"},
	} {
		conn, err := grpc.NewClient(t.target,
			grpc.WithTransportCredentials(secure),
			grpc.WithUserAgent(who.name+"/"+who.version),
			grpc.WithNoProxy(),
			// A loomd that is started again is found at once.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
				MinConnectTimeout: 2 * time.Second,
			}),
		)
		if err != nil {
			return apps, fmt.Errorf("dial %s for demo traffic: %w", t.target, err)
		}
		apps = append(apps, &app{
			conn: conn, orders: shopv1.NewOrdersClient(conn), ledger: payv1.NewLedgerClient(conn),
			name: who.name, tier: who.tier, dice: newDice(t.seed, who.name),
		})
	}
	return apps, nil
}
