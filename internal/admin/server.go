package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
	"loom/internal/config"
	"loom/internal/inspector"
)

// Limits of the service. A person and some scripts use it; what is beyond
// these is a mistake or an attack. Counters tell how often they were hit.
const (
	maxConns    = 256              // open at once; a further one is closed
	maxCalls    = 32               // unary calls at once; a further one is refused
	maxStreams  = 16               // streams at once; a further one is refused
	maxRequest  = 1<<20 + 64<<10   // bytes of a request: the largest loom.yaml with its name
	maxAnswer   = 32 << 20         // bytes of an answer
	maxHeader   = 16 << 10         // bytes of metadata
	handshake   = 5 * time.Second  // until a connection speaks HTTP/2
	idleTime    = 30 * time.Minute // of a connection without calls
	callTime    = 6 * time.Minute  // of a unary call: a replay may take 5
	endGrace    = 2 * time.Second  // for calls under way when the service ends
	defaultRows = 100              // of ListCalls
	maxRows     = 10_000           // of ListCalls
)

// Counters counts what the service refused.
type Counters struct {
	Denied      atomic.Uint64 // calls of people who may not make them
	Connections atomic.Uint64 // beyond those that may be open
	Calls       atomic.Uint64 // beyond those that may run
	Streams     atomic.Uint64 // beyond those that may be open
}

// Options is what the service shows and changes. All fields but Group, ReadOnly,
// Look and Shown are required.
type Options struct {
	Log *zap.Logger
	// Group is whose members may do everything, by name or number; empty:
	// nobody but root and the user of the process.
	Group string
	// ReadOnly are users, by name or number, who may look and no more.
	ReadOnly []string

	Counters *Counters

	Panels  inspector.Panels
	Records *inspector.Records
	Store   *capture.Store
	Control Control
	// Running returns the configuration in force.
	Running func() *config.Config
	// Apply reads the configuration again and puts it in force. Its error may be
	// a config.Errors or a *RefusedError.
	Apply func(context.Context) (config.Changes, config.Warnings, error)
	// Env looks up what a configuration that is checked refers to.
	Env func(string) (string, bool)
	// Look examines what it refers to, such as files; nil: nobody looks.
	Look config.Look
	// InspectorURL returns where the inspector is, with its token; empty: there
	// is none.
	InspectorURL func() string
	// Shown is called when an answer is ready, before it is given; nil: nobody
	// is. It may take a moment.
	Shown func()
}

// Control changes what runs. It is safe for concurrent use. Its errors may be
// a *NotFoundError or a *RefusedError.
type Control interface {
	// DrainEndpoint takes an endpoint out of the rotation, or back into it.
	DrainEndpoint(backend, endpoint string, drained bool) error
	// ControlBreaker does what an operator tells a breaker: open, close, auto or
	// reset. by says who the operator is.
	ControlBreaker(backend, action, by string) error
	// Reload has a fresh process take over, tells say what goes on, and returns
	// when the outcome is certain. When ctx ends, or say fails, it returns that
	// error, and the reload goes on. by says who asks for it.
	Reload(ctx context.Context, by string, say func(line string) error) (Successor, error)
}

// Successor is the process that serves after a reload.
type Successor struct {
	Number int // of its generation
	PID    int
}

// Server is the service. It is safe for concurrent use.
type Server struct {
	loomv1.UnimplementedAdminServer

	// Immutable.
	opts   Options
	log    *zap.Logger
	rights atomic.Pointer[rights]
	grpc   *grpc.Server
	health *health.Server
	ending context.Context // ends with Serve
	end    context.CancelFunc

	// A slot is held by who sends to the channel.
	calls    chan struct{}
	streams  chan struct{}
	parses   chan struct{} // of configurations: one may take 50 MB
	profiles chan struct{}
}

// New returns a service that serves nothing yet.
func New(o Options) (*Server, error) {
	r, err := newRights(o.Group, o.ReadOnly)
	if err != nil {
		return nil, err
	}
	return newServer(o, r, askKernel), nil
}

func newServer(o Options, r rights, ask func(net.Conn) (process, error)) *Server {
	s := &Server{
		opts: o, log: o.Log, health: health.NewServer(),
		calls: make(chan struct{}, maxCalls), streams: make(chan struct{}, maxStreams),
		parses: make(chan struct{}, 1), profiles: make(chan struct{}, 1),
	}
	s.rights.Store(&r)
	s.ending, s.end = context.WithCancel(context.Background())
	s.grpc = grpc.NewServer(
		grpc.Creds(peerCredentials{ask}),
		grpc.ConnectionTimeout(handshake),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTime}),
		grpc.MaxConcurrentStreams(maxCalls+maxStreams),
		grpc.MaxHeaderListSize(maxHeader),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxSendMsgSize(maxAnswer),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
		grpc.WaitForHandlers(true),
	)
	loomv1.RegisterAdminServer(s.grpc, s)
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	s.health.SetServingStatus(loomv1.Admin_ServiceDesc.ServiceName, grpc_health_v1.HealthCheckResponse_SERVING)
	reflection.Register(s.grpc)
	return s
}

// Rights are who may do what.
type Rights struct{ rights rights }

// NewRights makes those of Options.Group and Options.ReadOnly. It fails if the
// machine has no such group.
func NewRights(group string, readOnly []string) (Rights, error) {
	r, err := newRights(group, readOnly)
	return Rights{r}, err
}

// Use puts other rights in force, for calls that come from now on.
func (s *Server) Use(r Rights) { s.rights.Store(&r.rights) }

// Serve answers calls that come over a Unix socket until ctx ends, then ends
// the streams, gives calls under way a moment, and returns when all handlers
// have. It is called at most once, and closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer s.end()
	served := make(chan error, 1)
	go func() { served <- s.grpc.Serve(bound(l, maxConns, &s.opts.Counters.Connections)) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
		served <- err
	}
	s.health.Shutdown()
	s.end()
	late := time.AfterFunc(endGrace, s.grpc.Stop)
	s.grpc.GracefulStop()
	late.Stop()
	if err = <-served; err == nil || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return fmt.Errorf("serve the admin socket: %w", err)
}
