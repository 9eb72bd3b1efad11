package load_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"loom/bench/internal/echo"
	"loom/bench/internal/grpcproxy"
	"loom/bench/internal/load"
	"loom/bench/internal/row"
	"loom/bench/internal/tcpproxy"
	"loom/bench/internal/verify"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func serve(t *testing.T, s *grpc.Server) string {
	t.Helper()
	l := listen(t)
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		s.Stop()
		ended.Wait()
	})
	return l.Addr().String()
}

func serveTCP(t *testing.T, backend string) string {
	t.Helper()
	l := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := tcpproxy.Serve(ctx, l, backend); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		l.Close()
		cancel()
		ended.Wait()
	})
	return l.Addr().String()
}

func addresses(t *testing.T) map[string]string {
	t.Helper()
	backend := serve(t, echo.NewServer())
	proxy, closeBackend, err := grpcproxy.New(backend)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := closeBackend(); err != nil {
			t.Error(err)
		}
	})
	return map[string]string{
		"direct":  backend,
		"grpc-go": serve(t, proxy),
		"tcp":     serveTCP(t, backend),
	}
}

func TestOwnProxiesAnswerRightly(t *testing.T) {
	for name, addr := range addresses(t) {
		if err := verify.Replies(t.Context(), addr); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoadsThroughOwnProxies(t *testing.T) {
	const d = 100 * time.Millisecond
	for name, addr := range addresses(t) {
		for _, kind := range []row.Kind{row.Unary, row.Bidi} {
			r := row.Row{Name: "test", Kind: kind, Conns: 2, Streams: 3, Body: 1000}
			s, err := load.Open(t.Context(), addr, r)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			count, err := s.PingPong(t.Context(), d)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if count.Requests == 0 || count.Elapsed < d {
				t.Errorf("%s: got %+v", name, count)
			}
			latencies, err := s.AtRate(t.Context(), 200, d)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(latencies) != 20 {
				t.Errorf("%s: %d requests in 100 ms at 200 a second", name, len(latencies))
			}
			if err := s.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestIdleHoldsStreamsOpen(t *testing.T) {
	for name, addr := range addresses(t) {
		held, err := load.OpenIdle(t.Context(), addr, row.Row{Kind: row.Idle, Conns: 3, Streams: 4, Body: 10})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := held.OpenStreams(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := held.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A backend that lacks the method must fail a load, not speed it up.
func TestLoadFailsOnErrorReplies(t *testing.T) {
	addr := serve(t, grpc.NewServer())
	r := row.Row{Name: "test", Kind: row.Unary, Conns: 1, Streams: 1, Body: 10}
	_, err := load.Open(t.Context(), addr, r)
	if err == nil || !strings.Contains(err.Error(), "Unimplemented") {
		t.Errorf("got %v, want the status of the reply", err)
	}
	if err := verify.Replies(t.Context(), addr); err == nil {
		t.Error("verify found nothing wrong with a backend that has no echo service")
	}
}
