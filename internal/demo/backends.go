package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	payv1 "loom/internal/demo/pay/v1"
	shopv1 "loom/internal/demo/shop/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
)

// defaultSeed makes each demo like the last one.
const defaultSeed = 1

// The spells of the ledger: long enough in trouble that five failures in a row
// come together, long enough well that a breaker closes again.
const (
	defaultWell    = 25 * time.Second
	defaultFailing = 12 * time.Second
)

// BackendOption changes what StartBackends starts.
type BackendOption func(*backendOptions)

type backendOptions struct {
	seed          uint64
	well, failing time.Duration
}

// BackendSeed decides what the orders are. Without it they are the same each
// time.
func BackendSeed(seed uint64) BackendOption {
	return func(o *backendOptions) { o.seed = seed }
}

// Spells decides for how long the ledger is well and for how long it fails, in
// turns; by default 25 and 12 seconds. Their sum must be above 0.
func Spells(well, failing time.Duration) BackendOption {
	return func(o *backendOptions) { o.well, o.failing = well, failing }
}

// Backends are the two backends, listening. Its methods are safe for
// concurrent use.
type Backends struct {
	// Immutable.
	shop, pay *backend
}

// backend is one gRPC server and the goroutine that serves.
type backend struct {
	address string
	server  *grpc.Server
	serving sync.WaitGroup
	err     error // of Serve; read after serving is done
}

// StartBackends starts the shop and the ledger on free ports of the loopback,
// with Server Reflection (v1 and v1alpha) and health checks. Ctx bounds the
// start only: the backends serve until Close.
func StartBackends(ctx context.Context, options ...BackendOption) (*Backends, error) {
	o := backendOptions{seed: defaultSeed, well: defaultWell, failing: defaultFailing}
	for _, option := range options {
		option(&o)
	}
	if o.well < 0 || o.failing < 0 || o.well+o.failing <= 0 {
		return nil, fmt.Errorf("start demo backends: spells of %s and %s; both must be 0 or more and one above 0", o.well, o.failing)
	}
	shop, err := startBackend(ctx, "shop", func(s grpc.ServiceRegistrar) {
		shopv1.RegisterOrdersServer(s, newOrders(o.seed))
	})
	if err != nil {
		return nil, err
	}
	pay, err := startBackend(ctx, "pay", func(s grpc.ServiceRegistrar) {
		payv1.RegisterLedgerServer(s, newLedger(o.seed, spells{start: time.Now(), well: o.well, failing: o.failing}))
	})
	if err != nil {
		return nil, errors.Join(err, shop.close())
	}
	return &Backends{shop: shop, pay: pay}, nil
}

// Shop returns the address, host:port, of demo.shop.v1.Orders.
func (b *Backends) Shop() string { return b.shop.address }

// Pay returns the address, host:port, of demo.pay.v1.Ledger.
func (b *Backends) Pay() string { return b.pay.address }

// Close cuts all calls off, and returns when everything has ended. The error
// tells of a backend that had stopped serving before; a second Close does
// nothing and returns the same.
func (b *Backends) Close() error {
	return errors.Join(b.shop.close(), b.pay.close())
}

func startBackend(ctx context.Context, name string, register func(grpc.ServiceRegistrar)) (*backend, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the demo's %s backend: %w", name, err)
	}
	b := &backend{address: listener.Addr().String(), server: newServer(name)}
	register(b.server)
	b.serving.Go(func() {
		// ErrServerStopped: closed before it came to serving.
		if err := b.server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			b.err = fmt.Errorf("serve the demo's %s backend: %w", name, err)
		}
	})
	return b, nil
}

// newServer returns a server that has all but the service itself. Reflection
// tells what is registered when it is asked.
func newServer(name string) *grpc.Server {
	server := grpc.NewServer(
		grpc.WaitForHandlers(true),
		grpc.UnaryInterceptor(stamp(name).unary),
		grpc.StreamInterceptor(stamp(name).stream),
	)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	reflection.Register(server)
	return server
}

func (b *backend) close() error {
	b.server.Stop()
	b.serving.Wait()
	return b.err
}
