package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
	"golang.org/x/net/netutil"
)

// Limits of the server. A few scrapers and probes ask it, every few seconds.
const (
	maxConns    = 64               // at once; more wait to be accepted
	maxScrapes  = 8                // at once; more are refused, and counted by promhttp
	maxHeader   = 16 << 10         // bytes of a request's header
	requestTime = 5 * time.Second  // to send a request
	answerTime  = 30 * time.Second // to take the answer
	idleTime    = 90 * time.Second // between requests: scrapers ask once a minute or more often
	endGrace    = time.Second      // for requests under way when the server ends
)

// Server answers scrapers and probes: /metrics, /healthz, /readyz. Everybody
// who reaches it may ask. It is safe for concurrent use.
type Server struct {
	// Immutable.
	handler http.Handler
	busy    chan struct{} // holds a token for each request under way

	notReady atomic.Pointer[string] // why; nil if calls are served
	serving  atomic.Pointer[http.Server]
}

// NewServer returns a server of m that serves nothing yet. Until Ready it says
// that loomd is starting.
func NewServer(m *Metrics) *Server {
	s := &Server{busy: make(chan struct{}, maxConns)}
	s.NotReady("starting")
	scrape := promhttp.InstrumentMetricHandler(m.registry, promhttp.HandlerFor(m, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
	}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", scrape)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { tell(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.readiness)
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.busy <- struct{}{}
		defer func() { <-s.busy }()
		mux.ServeHTTP(w, r)
	})
	return s
}

// Ready has /readyz say that calls are served.
func (s *Server) Ready() { s.notReady.Store(nil) }

// NotReady has /readyz say why calls should go elsewhere.
func (s *Server) NotReady(reason string) { s.notReady.Store(&reason) }

// Pause has who asks come again on another connection: those that are kept are
// closed, once they have their answers. It returns when no request is under
// way, or ctx ends.
func (s *Server) Pause(ctx context.Context) {
	if srv := s.serving.Load(); srv != nil {
		srv.SetKeepAlivesEnabled(false)
	}
	tokens := 0
	defer func() {
		for range tokens {
			<-s.busy
		}
	}()
	// Whoever gets every token knows that no request has one.
	for ; tokens < maxConns; tokens++ {
		select {
		case s.busy <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// Resume takes back Pause.
func (s *Server) Resume() {
	if srv := s.serving.Load(); srv != nil {
		srv.SetKeepAlivesEnabled(true)
	}
}

func (s *Server) readiness(w http.ResponseWriter, _ *http.Request) {
	if reason := s.notReady.Load(); reason != nil {
		tell(w, http.StatusServiceUnavailable, *reason)
		return
	}
	tell(w, http.StatusOK, "ok")
}

func tell(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
}

// Serve answers requests until ctx ends, gives those under way a moment, and
// returns when all have ended. It is called at most once, and closes the
// listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer l.Close()
	srv := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: requestTime,
		ReadTimeout:       requestTime,
		WriteTimeout:      answerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          zap.NewStdLog(zap.NewNop()), // peers that break off are no news
	}
	s.serving.Store(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(netutil.LimitListener(l, maxConns)) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
		served <- err
	}
	grace, stop := context.WithTimeout(context.WithoutCancel(ctx), endGrace)
	defer stop()
	if srv.Shutdown(grace) != nil {
		_ = srv.Close() // nothing is left to be told
	}
	// Whoever gets every token knows that no request has one.
	for range maxConns {
		s.busy <- struct{}{}
	}
	if err = <-served; errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve metrics: %w", err)
}
