package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const metricsAnywhere = `metrics: {address: "127.0.0.1:0"}` + "\n"

// look gets a page of the listener for metrics.
func (r *running) look(path string) (code int, body string) {
	r.t.Helper()
	address := r.watch.monitor.listener.address()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return dial(address)
	}}
	q, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://loomd.example"+path, http.NoBody)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := transport.RoundTrip(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.StatusCode, string(all)
}

// wantFigure waits until a scrape has the line.
func (r *running) wantFigure(line string) {
	r.t.Helper()
	eventually(r.t, "a scrape has "+line, func() bool {
		_, body := r.look("/metrics")
		return strings.Contains(body, "\n"+line+"\n")
	})
}

// What monitoring reads is what went through.
func TestMetrics(t *testing.T) {
	var hold sync.Mutex
	r := serve(t, oneBackend(echo(t, &hold), anyPort)+metricsAnywhere)
	cc := r.client(0)
	if answer, err := ask(cc, "/test.Echo/Call", "hello"); err != nil || answer != "hello" {
		t.Fatalf("answer %q, error %v", answer, err)
	}
	r.wantFigure(`loom_calls_total{backend="b",code="OK",method="/test.Echo/Call",route="all"} 1`)
	r.wantFigure(`loom_call_bytes_total{backend="b",direction="up",route="all"} 10`)
	r.wantFigure(`loom_call_duration_seconds_count{backend="b",route="all"} 1`)
	r.wantFigure("loom_calls_in_flight 0")
	r.wantFigure("loom_capture_calls_seen_total 1")
	r.wantFigure("loom_capture_calls_kept 1")

	hold.Lock()
	asked := make(chan error, 1)
	go func() {
		_, err := ask(cc, "/test.Echo/Call", "hello")
		asked <- err
	}()
	r.wantFigure("loom_calls_in_flight 1")
	hold.Unlock()
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	r.wantFigure("loom_calls_in_flight 0")

	r.counters.H2.Stalls.Add(7)
	r.wantFigure("loom_limit_stream_stalls_total 7")
	_, body := r.look("/metrics")
	for _, l := range r.counters.limits() {
		if !strings.Contains(body, "\n# HELP loom_limit_"+l.name+"_total "+l.help+"\n") || l.help == "" {
			t.Errorf("limit %s has no figure with a help text", l.name)
		}
	}
}

// A path that no route knows is no label: callers choose it.
func TestMetricsOfNoRoute(t *testing.T) {
	r := serve(t, `
listeners: [`+anyPort+`]
backends: {b: {targets: ["`+nobody+`"]}}
routes: [{name: one, match: {service: test.Echo}, backend: b}]
`+metricsAnywhere)
	for _, path := range []string{"/test.Made/Up", "/test.Made/Too"} {
		if _, err := ask(r.client(0), path, ""); status.Code(err) != codes.Unimplemented {
			t.Fatalf("call without a route: %v", err)
		}
	}
	r.wantFigure(`loom_calls_total{backend="",code="UNIMPLEMENTED",method="unknown",route=""} 2`)
}

// While loomd drains it lives, is not ready, and is watched until it has ended.
func TestReadiness(t *testing.T) {
	var hold sync.Mutex
	socket := in(socketFolder(t), "metrics.sock")
	r := serve(t, oneBackend(echo(t, &hold), anyPort)+`metrics: {address: "unix:`+socket+`"}`+"\n")
	eventually(t, "/readyz says ok", func() bool { code, body := r.look("/readyz"); return code == http.StatusOK && body == "ok\n" })

	hold.Lock()
	asked := make(chan error, 1)
	cc := r.client(0)
	go func() {
		_, err := ask(cc, "/test.Echo/Call", "hello")
		asked <- err
	}()
	r.wantFigure("loom_calls_in_flight 1")
	r.stop()
	eventually(t, "/readyz says draining", func() bool {
		code, body := r.look("/readyz")
		return code == http.StatusServiceUnavailable && body == "draining\n"
	})
	if code, _ := r.look("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz says %d while loomd drains", code)
	}
	r.wantServing()
	hold.Unlock()
	if err := <-asked; err != nil {
		t.Error(err)
	}
	cc.Close()
	r.wantServed()
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// An address that is taken ends loomd at the start, and says which it was.
func TestMetricsAddressTaken(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	text := oneBackend(nobody, anyPort) + `metrics: {address: "` + taken.Addr().String() + `"}` + "\n"
	_, err = New(parse(t, text), Options{Log: zap.NewNop()})
	if l, ok := errors.AsType[*ListenError](err); !ok || l.Listener != "metrics" || !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("error %v", err)
	}
}

// Without the key nothing listens.
func TestNoMetrics(t *testing.T) {
	r := serve(t, oneBackend(nobody, anyPort))
	if r.watch.monitor != nil {
		t.Error("there is a listener that nobody asked for")
	}
}
