package backend

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// healthAnswer is the most bytes of an answer to a health check: a number.
const healthAnswer = 1 << 10

// checker asks an endpoint for its health. Check is asked at every interval,
// because only an answer tells that somebody is there; beside it, Watch brings
// word at once of an endpoint that is about to stop.
type checker struct {
	// Immutable.
	endpoint *Endpoint
	opts     *HealthCheck
	client   healthpb.HealthClient
	conn     *grpc.ClientConn

	watching sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	dialled  error                                      // of the latest connection
	giveUp   context.CancelFunc                         // ends the latest check; nil before the first
	watches  bool                                       // a Watch is open, or cannot be had
	watched  healthpb.HealthCheckResponse_ServingStatus // what it said last
	answered bool                                       // it has said something, and is open
}

// ask has e asked for its health from now on, as the options say. The lock of
// the backend is held.
func (e *Endpoint) ask() {
	e.unask()
	if e.backend.options().Health == nil {
		e.health = health{}
		return
	}
	if e.health.is == HealthUnchecked {
		e.health.is = HealthUnknown
	}
	ctx, cancel := context.WithCancel(e.life)
	e.unasked = cancel
	e.backend.start(func() {
		defer cancel()
		e.check(ctx)
	})
}

// unask ends the checks of e. The lock of the backend is held.
func (e *Endpoint) unask() {
	if e.unasked != nil {
		e.unasked()
		e.unasked = nil
	}
}

// check asks e for its health until ctx ends.
func (e *Endpoint) check(ctx context.Context) {
	c := &checker{endpoint: e, opts: e.backend.options().Health}
	if err := c.connect(); err != nil {
		e.backend.judge(e, checkup{bad: err.Error()})
		return
	}
	c.client = healthpb.NewHealthClient(c.conn)
	for ctx.Err() == nil {
		began := time.Now()
		if verdict := c.ask(ctx); ctx.Err() == nil {
			e.backend.judge(e, verdict)
		}
		c.watch(ctx)
		// Never more than the interval, so that a rise takes no longer than
		// people reckon.
		pause := time.Duration((0.8 + 0.2*rand.Float64()) * float64(c.opts.Interval))
		t := time.NewTimer(time.Until(began.Add(pause)))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
	_ = c.conn.Close() // it has nothing to say that anybody waits for
	c.watching.Wait()
}

// connect makes a client, which connects when it is first used.
func (c *checker) connect() (err error) {
	authority := c.endpoint.name
	switch {
	case c.opts.Authority != "":
		authority = c.opts.Authority
	case c.endpoint.network == "unix":
		authority = "localhost" // as gRPC has it
	}
	// The dialer knows where to; a name may hold what no URI may.
	c.conn, err = grpc.NewClient("passthrough:///endpoint",
		grpc.WithTransportCredentials(insecure.NewCredentials()), // the dialer secures it
		grpc.WithContextDialer(c.dial),
		grpc.WithAuthority(authority),
		grpc.WithUserAgent("loomd-health-check"),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(0),
		grpc.WithConnectParams(grpc.ConnectParams{
			// Checks come at their own pace, and each begins anew.
			Backoff:           grpcbackoff.Config{BaseDelay: c.opts.Interval, Multiplier: 1, MaxDelay: c.opts.Interval},
			MinConnectTimeout: c.opts.Timeout,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(healthAnswer)),
	)
	return err
}

func (c *checker) dial(ctx context.Context, _ string) (net.Conn, error) {
	nc, err := c.endpoint.reach(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialled = err
	if err != nil && c.giveUp != nil {
		c.giveUp() // it would wait for the next try
	}
	return nc, err
}

// ask makes one check.
func (c *checker) ask(ctx context.Context) checkup {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	c.mu.Lock()
	c.giveUp = cancel
	c.mu.Unlock()
	c.conn.ResetConnectBackoff()
	r, err := c.client.Check(ctx, &healthpb.HealthCheckRequest{Service: c.opts.Service}, grpc.WaitForReady(true))
	if err == nil {
		return c.read(r.GetStatus())
	}
	s := status.Convert(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.Code() == codes.Unimplemented && c.answered:
		return c.read(c.watched) // it can only be watched
	case s.Code() == codes.Unimplemented:
		return checkup{notOffered: true}
	case s.Code() == codes.NotFound:
		return checkup{bad: "it does not know the service " + c.opts.Service}
	case c.dialled != nil && !errors.Is(c.dialled, context.Canceled):
		return checkup{bad: "connect: " + plain(c.dialled).Error()}
	case s.Code() == codes.DeadlineExceeded:
		return checkup{bad: "no answer within " + c.opts.Timeout.String()}
	}
	return checkup{bad: s.Code().String() + ": " + s.Message()}
}

// read is what an endpoint said of itself.
func (c *checker) read(s healthpb.HealthCheckResponse_ServingStatus) checkup {
	switch s {
	case healthpb.HealthCheckResponse_SERVING:
		return checkup{}
	case healthpb.HealthCheckResponse_SERVICE_UNKNOWN:
		return checkup{bad: "it does not know the service " + c.opts.Service}
	}
	return checkup{bad: "it says " + strings.ReplaceAll(s.String(), "_", " ")}
}

// watch opens a Watch, unless there is one or it cannot be had.
func (c *checker) watch(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watches || c.dialled != nil {
		return
	}
	c.watches = true
	c.watching.Go(func() {
		err := c.follow(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.answered = false
		c.watches = status.Code(err) == codes.Unimplemented
	})
}

// follow takes account of what the endpoint says of itself, until the stream
// ends. That it is well is no news: the checks find it so.
func (c *checker) follow(ctx context.Context) error {
	stream, err := c.client.Watch(ctx, &healthpb.HealthCheckRequest{Service: c.opts.Service})
	if err != nil {
		return err
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.answered, c.watched = true, r.GetStatus()
		c.mu.Unlock()
		if verdict := c.read(r.GetStatus()); verdict.bad != "" && ctx.Err() == nil {
			verdict.final = true
			c.endpoint.backend.judge(c.endpoint, verdict)
		}
	}
}
