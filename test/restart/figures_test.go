//go:build linux

package restart

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
)

// figures is a family of which everything is watched that counts.
type figures struct {
	*family
	metrics string
}

// startFigures starts a loomd with a route to a backend, and one to another
// that is not there and has a breaker.
func startFigures(t *testing.T, backend string) *figures {
	t.Helper()
	f := &figures{family: startFamily(t, backend, ""), metrics: daemon.FreeAddress(t)}
	text := fmt.Sprintf(`
listeners: [{name: plain, address: %q}]
backends:
  main: {targets: [%q], breaker: {}}
  broken: {targets: [%q], breaker: {trip: {consecutive: 5}, open_for: 10m, max_open_for: 10m}}
routes:
  - {name: broken, match: {service: test.Broken}, backend: broken}
  - {name: all, backend: main}
metrics: {address: %q}
inspector: {address: %q}
restart: {probation: 100ms, drain: 2s}
`, f.listen, backend, daemon.FreeAddress(t), f.metrics, daemon.FreeAddress(t))
	if err := os.WriteFile(f.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f.reload()
	f.WaitListening(t, f.metrics)
	return f
}

// watched has all counts looked at.
func (f *figures) watched() *watcher {
	f.t.Helper()
	return watch(f.t, 5*time.Millisecond, map[string]func(context.Context) (counts, error){
		"a scraper":              scraper(f.metrics, true),
		"a scraper that dials":   scraper(f.metrics, false),
		"loomctl status":         f.shower("status"),
		"loomctl routes":         f.shower("routes"),
		"loomctl backends":       f.shower("backends"),
		"loomctl breaker status": f.shower("breaker", "status"),
	})
}

// breakBroken has calls fail until the breaker of the backend that is not there
// is open.
func (f *figures) breakBroken() {
	f.t.Helper()
	conn := connect(f.t, f.listen)
	for range 8 {
		in, out := []byte("hello"), []byte(nil)
		if err := conn.Invoke(f.t.Context(), "/test.Broken/Call", &in, &out); status.Code(err) != codes.Unavailable {
			f.t.Fatalf("a call to nobody ended with %v", err)
		}
	}
	if shown := f.ctl("breaker", "status"); !strings.Contains(shown, "open") {
		f.t.Fatalf("no breaker is open:\n%s", shown)
	}
}

// Under traffic, and over 20 reloads or more, no count falls that anybody looks at,
// and at the end all together are what the callers have counted. A breaker that
// was open is open, and what was drained is drained.
func TestNothingThatIsCountedFalls(t *testing.T) {
	f := startFigures(t, startBackend(t))
	f.breakBroken()
	drained := f.endpoint("broken")
	f.ctl("backends", "drain", "broken", drained)
	w := f.watched()
	l := startLoad(t, f.listen, 8, 5*time.Millisecond)
	for range max(20, *stormReloads) {
		f.reload()
	}
	calls := l.end()
	if calls < 1000 {
		t.Errorf("but %d calls were made", calls)
	}
	main := f.endpoint("main")
	for name, who := range map[string]string{
		".routes.all.load.calls":                     "loomctl routes",
		".backends.main.load.calls":                  "loomctl backends",
		".backends.main.endpoints." + main + ".good": "loomctl backends",
		".breakers.main.totals.successes":            "loomctl breaker status",
		`loom_calls_total{backend="main",code="OK",method="` + echoMethod + `",route="all"}`: "a scraper that dials",
	} {
		f.await(fmt.Sprintf("%s shows that %s is %d", who, name, calls), func() bool { return w.last(who)[name] >= float64(calls) })
		if n := w.last(who)[name]; n != float64(calls) {
			t.Errorf("%s shows that %s is %v, want %d", who, name, n, calls)
		}
	}
	w.end()
	w.want(200)
	last := w.last("a scraper that dials")
	for metric, want := range map[string]int{
		"loom_call_duration_seconds_count": calls + 8,
		"loom_capture_calls_seen_total":    calls + 8,
		"loom_calls_total":                 calls + 8,
	} {
		if got := last.sum(metric); got != float64(want) {
			t.Errorf("%s is %v, want %d", metric, got, want)
		}
	}
	var breakers struct {
		Breakers []struct {
			Backend, State string
		}
	}
	f.ask(&breakers, "breaker", "status")
	for _, b := range breakers.Breakers {
		if want := map[string]string{"main": "closed", "broken": "open"}[b.Backend]; b.State != want {
			t.Errorf("the breaker of %s is %s, want %s", b.Backend, b.State, want)
		}
	}
	if shown := f.ctl("backends"); !strings.Contains(shown, "drained") {
		t.Errorf("the endpoint is not drained any more:\n%s", shown)
	}
}

// endpoint returns the only endpoint of a backend.
func (f *figures) endpoint(of string) string {
	f.t.Helper()
	var shown struct {
		Backends []struct {
			Name      string
			Endpoints []struct{ Address string }
		}
	}
	f.ask(&shown, "backends")
	for _, b := range shown.Backends {
		if b.Name == of && len(b.Endpoints) == 1 {
			return b.Endpoints[0].Address
		}
	}
	f.t.Fatalf("backend %s: %+v", of, shown)
	return ""
}

// Old processes that are killed while they drain take with them at most what
// they had not yet told: nothing that was shown falls.
func TestNothingFallsWhenOldProcessesAreKilled(t *testing.T) {
	f := startFigures(t, startBackend(t))
	w := f.watched()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var calling sync.WaitGroup
	conn := connect(t, f.listen)
	calling.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
			_ = echo(conn, "hello") // the process that carries it may be killed
		}
	})
	for range 5 {
		startStream(t, f.listen) // keeps the old process alive
		f.reload()
		for _, g := range f.generations() {
			if !g.Serving {
				_ = syscall.Kill(g.PID, syscall.SIGKILL) // it may have ended
			}
		}
		f.await("the old process is gone", func() bool { return len(f.generations()) == 1 })
	}
	stop()
	calling.Wait()
	w.end()
	w.want(50)
	if n := w.last("a scraper").sum("loom_calls_total"); n < 100 {
		t.Errorf("but %v calls are counted", n)
	}
}

// What backends have said of their messages is known in the next process, which
// asks them nothing.
func TestNoReflectionAfterAReload(t *testing.T) {
	backend, asked := startReflecting(t)
	f := startFigures(t, backend)
	conn := connect(t, f.listen)
	call := func() {
		t.Helper()
		in, out := []byte("\x0a\x06secret"), []byte(nil)
		if err := conn.Invoke(t.Context(), healthMethod, &in, &out); status.Code(err) != codes.NotFound {
			t.Fatalf("the call ended with %v", err)
		}
	}
	decoded := func() bool {
		call()
		return strings.Contains(f.ctl("calls", "show", f.newest()), "decoded by\treflection")
	}
	f.await("a call is decoded", decoded)
	before := asked.Load()
	for range 10 {
		f.reload()
		f.await("a call is decoded", decoded)
	}
	if n := asked.Load() - before; before == 0 || n > 0 {
		t.Errorf("the backend was asked %d times before, and %d times after reloads", before, n)
	}
}

const healthMethod = "/grpc.health.v1.Health/Check"

// startReflecting serves the health service with reflection, and counts who
// asks for that.
func startReflecting(t *testing.T) (address string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	server := grpc.NewServer(grpc.StreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		asked.Add(1)
		return handle(srv, s)
	}))
	healthpb.RegisterHealthServer(server, health.NewServer())
	reflection.Register(server)
	return daemon.Serve(t, server), asked
}

// newest returns the id of the newest call.
func (f *figures) newest() string {
	f.t.Helper()
	var shown struct {
		Calls []struct {
			ID string `json:"id"`
		} `json:"calls"`
	}
	f.ask(&shown, "calls", "list", "--limit", "1")
	if len(shown.Calls) != 1 {
		f.t.Fatalf("%d calls are shown", len(shown.Calls))
	}
	return shown.Calls[0].ID
}
