package inspector

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/netutil"
)

// Limits of the server itself. A person has a few tabs; what is beyond these
// is a mistake or an attack.
const (
	maxConns    = 256              // at once; more wait to be accepted
	maxRequests = 128              // at once; more are refused
	maxStreams  = 32               // of server-sent events at once; more are refused
	maxHeader   = 64 << 10         // bytes of a request's header
	headerTime  = 10 * time.Second // to send it
	requestTime = 30 * time.Second // to send a whole request
	answerTime  = 60 * time.Second // to take a whole answer; streams and exports have their own
	idleTime    = 2 * time.Minute  // between requests
	endGrace    = 5 * time.Second  // for requests under way when the server ends
)

// Server is the inspector. It is safe for concurrent use.
type Server struct {
	*Records

	// Immutable.
	opts    Options
	auth    *auth
	token   string
	hosts   map[string]bool
	files   files
	handler http.Handler
	ending  context.Context // ends with Serve
	end     context.CancelFunc

	continues atomic.Int64 // the number of this process, if it has the calls of the one before; else 0

	// A slot is held by who sends to the channel.
	requests chan struct{}
	streams  chan struct{}
}

// New returns a server that serves nothing yet. It fails if others could reach
// Address without TLS and a token.
func New(o Options) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	token := o.Token
	if token == "" {
		token = newToken()
	}
	_, port, err := net.SplitHostPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("inspector: read the address: %w", err)
	}
	hosts, err := hostNames(o.Address, o.TLS, o.AllowHosts)
	if err != nil {
		return nil, fmt.Errorf("inspector: read the address: %w", err)
	}
	sub, err := fs.Sub(embedded, "static")
	if err != nil {
		return nil, fmt.Errorf("inspector: find the embedded page: %w", err)
	}
	page, err := readFiles(sub)
	if err != nil {
		return nil, fmt.Errorf("inspector: %w", err)
	}
	s := &Server{
		Records:  NewRecords(o.RecordsOptions),
		opts:     o,
		auth:     newAuth(token, port, o.TLS),
		token:    token,
		hosts:    hosts,
		files:    page,
		requests: make(chan struct{}, maxRequests),
		streams:  make(chan struct{}, maxStreams),
	}
	s.ending, s.end = context.WithCancel(context.Background())
	s.handler = s.guard()
	return s, nil
}

// Continue has pages that come from the process before go on as if nothing had
// happened: this one has its calls. generation is the number of the process,
// from 2, for people.
func (s *Server) Continue(generation int) { s.continues.Store(int64(generation)) }

// Token returns what opens the inspector.
func (s *Server) Token() string { return s.token }

// URL returns the address to open in a browser, with the token.
func (s *Server) URL() string {
	host, port, err := net.SplitHostPort(s.opts.Address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		host = "localhost"
	}
	scheme := "http"
	if s.opts.TLS {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/?token=" + s.token
}

// Serve answers requests until ctx ends, then ends the streams, gives requests
// under way a few seconds, and returns when all handlers have. It is called at
// most once, and closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer l.Close()
	defer s.end()
	if err := s.opts.mayServe(l.Addr().String()); err != nil {
		return err
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		WriteTimeout:      answerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          zap.NewStdLog(zap.NewNop()), // peers that break off are no news
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(netutil.LimitListener(l, maxConns)) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
		served <- err
	}
	s.end()
	grace, stop := context.WithTimeout(base, endGrace)
	defer stop()
	if srv.Shutdown(grace) != nil {
		_ = srv.Close() // nothing is left to be told
	}
	cancel()
	// Whoever gets every slot knows that no handler has one.
	for range maxRequests {
		s.requests <- struct{}{}
	}
	if err = <-served; errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("inspector: serve: %w", err)
}
