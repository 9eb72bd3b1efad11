package metrics

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"
)

// serving is a server that serves on a port of its own.
type serving struct {
	*Server
	t       *testing.T
	address string
	stop    func()
	ended   chan error
}

func serve(t *testing.T) *serving {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s := &serving{Server: NewServer(newMetrics(t)), t: t, address: l.Addr().String(), stop: stop, ended: make(chan error, 1)}
	go func() { s.ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-s.ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		s.ended <- nil
	})
	return s
}

// ask sends a request and returns the answer.
func (s *serving) ask(method, path, host string) (status int, body string, h http.Header) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.address+path, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Host, r.Close = host, true
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, string(all), answer.Header
}

func TestHealthAndReadiness(t *testing.T) {
	s := serve(t)
	for _, step := range []struct {
		name   string
		act    func()
		status int
		body   string
	}{
		{"at first", func() {}, http.StatusServiceUnavailable, "starting\n"},
		{"ready", s.Ready, http.StatusOK, "ok\n"},
		{"draining", func() { s.NotReady("draining") }, http.StatusServiceUnavailable, "draining\n"},
	} {
		step.act()
		if status, body, _ := s.ask(http.MethodGet, "/readyz", ""); status != step.status || body != step.body {
			t.Errorf("%s: /readyz says %d %q, want %d %q", step.name, status, body, step.status, step.body)
		}
		if status, body, _ := s.ask(http.MethodGet, "/healthz", ""); status != http.StatusOK || body != "ok\n" {
			t.Errorf("%s: /healthz says %d %q", step.name, status, body)
		}
	}
}

// Scrapers come by any name and without a token; there is nothing but what
// they need, and nothing to change.
func TestAnswers(t *testing.T) {
	s := serve(t)
	for _, test := range []struct {
		method, path, host string
		status             int
	}{
		{http.MethodGet, "/metrics", "", http.StatusOK},
		{http.MethodGet, "/metrics", "loomd.monitoring.svc.cluster.local:9997", http.StatusOK},
		{http.MethodHead, "/metrics", "", http.StatusOK},
		{http.MethodGet, "/healthz", "10.1.2.3", http.StatusOK},
		{http.MethodPost, "/metrics", "", http.StatusMethodNotAllowed},
		{http.MethodPost, "/healthz", "", http.StatusMethodNotAllowed},
		{http.MethodGet, "/", "", http.StatusNotFound},
		{http.MethodGet, "/debug/pprof/", "", http.StatusNotFound},
		{http.MethodGet, "/api/calls", "", http.StatusNotFound},
	} {
		status, _, _ := s.ask(test.method, test.path, test.host)
		if status != test.status {
			t.Errorf("%s %s as %q: status %d, want %d", test.method, test.path, test.host, status, test.status)
		}
	}
	_, body, h := s.ask(http.MethodGet, "/metrics", "")
	if !strings.HasPrefix(h.Get("Content-Type"), "text/plain; version=") || !strings.Contains(body, "# HELP loom_calls_in_flight ") {
		t.Errorf("a scrape is %q: %.200s", h.Get("Content-Type"), body)
	}
}

// Whoever opens connections and says nothing neither keeps others out for long
// nor keeps loomd from ending.
func TestSilentPeers(t *testing.T) {
	s := serve(t)
	for range maxConns {
		nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
	}
	begun := time.Now()
	if status, _, _ := s.ask(http.MethodGet, "/healthz", ""); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	if took := time.Since(begun); took > requestTime+5*time.Second {
		t.Errorf("a probe waited for %v", took)
	}
	s.stop()
	select {
	case err := <-s.ended:
		s.ended <- err
	case <-time.After(endGrace + 5*time.Second):
		t.Fatal("Serve has not returned")
	}
}

// A listener that is gone is an error, not silence.
func TestServeWithoutListener(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := NewServer(newMetrics(t)).Serve(t.Context(), l); err == nil {
		t.Error("no error")
	}
}

// After Pause each scrape comes on a connection of its own, until Resume.
func TestPause(t *testing.T) {
	s := serve(t)
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	scrape := func() (reused bool) {
		t.Helper()
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }})
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/metrics", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(q)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if _, err := io.ReadAll(answer.Body); err != nil {
			t.Fatal(err)
		}
		return reused
	}
	scrape()
	if !scrape() {
		t.Fatal("a connection is not kept")
	}
	s.Pause(t.Context())
	for range 3 {
		if scrape() {
			t.Error("a connection is kept")
		}
	}
	s.Resume()
	scrape()
	if !scrape() {
		t.Error("a connection is not kept afterwards")
	}
}
