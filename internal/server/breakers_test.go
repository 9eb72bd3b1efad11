package server

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"loom/internal/breaker"
	"loom/internal/inspector"
	"loom/internal/loomtest"
	"loom/internal/relay"
)

// moody is a backend that answers with the code that it is told, and counts.
type moody struct {
	address string
	code    atomic.Uint32
	calls   atomic.Int64
}

func newMoody(t *testing.T) *moody {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &moody{address: ln.Addr().String()}
	backend := &loomtest.Backend{Unary: func(ctx context.Context, method string, question []byte) ([]byte, error) {
		if !strings.HasPrefix(method, "/test.Moody/") {
			return nil, status.Error(codes.Unimplemented, "no reflection here")
		}
		m.calls.Add(1)
		if method == "/test.Moody/Hang" {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		if code := codes.Code(m.code.Load()); code != codes.OK {
			return nil, status.Error(code, "bad mood")
		}
		return question, nil
	}}
	backend.Serve(t, ln)
	return m
}

func (m *moody) be(code codes.Code) { m.code.Store(uint32(code)) }

// guarded is a loom.yaml with a breaker for backend b.
func guarded(address, breaker string) string {
	return `
listeners: [` + anyPort + `]
backends: {b: {targets: ["` + address + `"], breaker: ` + breaker + `}}
routes: [{name: all, backend: b}]
`
}

func (r *running) wantState(want breaker.State) {
	r.t.Helper()
	eventually(r.t, "the breaker is "+want.String(), func() bool { return r.now().breakers["b"].Status().State == want })
}

// askMany makes calls one after the other, and returns the codes.
func askMany(cc *grpc.ClientConn, n int) []codes.Code {
	var all []codes.Code
	for range n {
		_, err := ask(cc, "/test.Moody/Call", "q")
		all = append(all, status.Code(err))
	}
	return all
}

// A backend that fails is left alone, tried again, and called again: what its
// callers, the log, the metrics and the panel say of it.
func TestBreaker(t *testing.T) {
	m := newMoody(t)
	r := serve(t, guarded(m.address, `{trip: {consecutive: 3}, open_for: 300ms, max_open_for: 300ms, half_open: {probes: 2}}`)+metricsAnywhere)
	cc := r.client(0)
	m.be(codes.Internal)
	if got := askMany(cc, 5); !slices.Equal(got, []codes.Code{codes.Internal, codes.Internal, codes.Internal, codes.Unavailable, codes.Unavailable}) {
		t.Fatalf("callers saw %v", got)
	}
	if n := m.calls.Load(); n != 3 {
		t.Errorf("%d calls came to the backend, want 3", n)
	}
	v := breakerView(t, r, "b")
	if v.State != "open" || v.FailureRatio != 1 || v.LastError != "Internal: bad mood" || !v.NextProbe.After(v.Since) || v.Totals.Rejected != 2 || v.Totals.Openings != 1 {
		t.Errorf("the panel shows %+v", v)
	}
	m.be(codes.NotFound) // which is a success
	r.wantState(breaker.HalfOpen)
	if got := askMany(cc, 2); !slices.Equal(got, []codes.Code{codes.NotFound, codes.NotFound}) {
		t.Fatalf("probes saw %v", got)
	}
	r.wantState(breaker.Closed)
	r.wantFigure(`loom_breaker_transitions_total{backend="b",from="half-open",to="closed"} 1`)
	r.wantFigure(`loom_breaker_state{backend="b",state="closed"} 1`)
	r.wantFigure(`loom_breaker_state{backend="b",state="open"} 0`)
	r.wantFigure(`loom_breaker_rejections_total{backend="b"} 2`)
	r.wantFigure(`loom_breaker_late_results_total{backend="b"} 0`)
	r.wantMoves("open: 3 failures in a row, the last: Internal: bad mood", "half-open: open for long enough", "closed: all probes succeeded")
}

// wantMoves wants the log to have each change of state, once.
func (r *running) wantMoves(want ...string) {
	r.t.Helper()
	moves := func() (all []string) {
		for _, e := range r.log.All() {
			if e.LoggerName == "breaker" {
				all = append(all, e.ContextMap()["to"].(string)+": "+e.ContextMap()["reason"].(string))
			}
		}
		return all
	}
	eventually(r.t, "the log has the moves", func() bool { return len(moves()) >= len(want) })
	if got := moves(); !slices.Equal(got, want) {
		r.t.Errorf("the log has %q, want %q", got, want)
	}
}

func breakerView(t *testing.T, r *running, name string) inspector.BreakerView {
	t.Helper()
	all := r.breakerViews()
	i := slices.IndexFunc(all, func(v inspector.BreakerView) bool { return v.Backend == name })
	if i < 0 {
		t.Fatalf("no breaker %s in %+v", name, all)
	}
	return all[i]
}

// Five deadlines of callers who gave a backend less time than min_deadline open
// nothing: each says more about its caller.
func TestBreakerFiveClientDeadlinesOpenNothing(t *testing.T) {
	m := newMoody(t)
	r := serve(t, guarded(m.address, `{trip: {consecutive: 3}}`))
	cc := r.client(0)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		in, out := []byte("q"), []byte(nil)
		err := cc.Invoke(ctx, "/test.Moody/Hang", &in, &out)
		cancel()
		if status.Code(err) != codes.DeadlineExceeded {
			t.Fatalf("the caller saw %v", err)
		}
	}
	if answer, err := ask(cc, "/test.Moody/Call", "q"); err != nil || answer != "q" {
		t.Errorf("a healthy call got %q, %v", answer, err)
	}
	eventually(t, "all are counted", func() bool { return breakerView(t, r, "b").Totals.Excluded == 5 })
	if v := breakerView(t, r, "b"); v.State != "closed" || v.Totals.Failures != 0 {
		t.Errorf("the breaker is %+v", v)
	}
}

// Codes that are not configured are successes.
func TestBreakerCountsTheConfiguredCodes(t *testing.T) {
	m := newMoody(t)
	r := serve(t, guarded(m.address, `{trip: {consecutive: 2}, failures: [PERMISSION_DENIED]}`))
	cc := r.client(0)
	m.be(codes.Internal)
	askMany(cc, 5)
	if v := breakerView(t, r, "b"); v.State != "closed" || v.Totals.Successes != 5 {
		t.Fatalf("five answers made it %+v", v)
	}
	m.be(codes.PermissionDenied)
	askMany(cc, 2)
	r.wantState(breaker.Open)
}

func TestControlBreaker(t *testing.T) {
	m := newMoody(t)
	r := serve(t, guarded(m.address, `{}`))
	cc := r.client(0)
	for _, step := range []struct {
		action string
		state  string
		code   codes.Code
	}{
		{"open", "forced-open", codes.Unavailable},
		{"auto", "closed", codes.OK},
		{"close", "disabled", codes.OK},
		{"open", "forced-open", codes.Unavailable},
		{"reset", "closed", codes.OK},
	} {
		if err := r.controlBreaker("b", step.action, "the test"); err != nil {
			t.Fatal(err)
		}
		if got := askMany(cc, 1)[0]; got != step.code || breakerView(t, r, "b").State != step.state {
			t.Errorf("after %s: %v, %+v", step.action, got, breakerView(t, r, "b"))
		}
	}
	if err := r.controlBreaker("c", "open", "the test"); err == nil || err.Error() != `backend "c" has no breaker` {
		t.Errorf("a backend that is not there: %v", err)
	}
	if err := r.controlBreaker("b", "explode", "the test"); err == nil {
		t.Error("a breaker exploded")
	}
	r.wantMoves("forced-open: opened by the test", "closed: put on auto by the test", "disabled: closed by the test",
		"forced-open: opened by the test", "closed: reset by the test")
}

func TestNoBreakerNoPanel(t *testing.T) {
	m := newMoody(t)
	r := serve(t, oneBackend(m.address, anyPort)+metricsAnywhere)
	m.be(codes.Internal)
	if got := askMany(r.client(0), 30); slices.Contains(got, codes.Unavailable) {
		t.Errorf("callers saw %v", got)
	}
	if v := r.breakerViews(); len(v) != 0 {
		t.Errorf("the panel shows %+v", v)
	}
}

// A breaker that cannot be made is an error of New, and nothing is left behind.
func TestBreakerThatCannotBeMade(t *testing.T) {
	cfg := parse(t, guarded(nobody, `{}`))
	cfg.Backends[0].Breaker.HalfOpen.Probes = -1
	if _, err := New(cfg, Options{Log: zap.NewNop()}); err == nil {
		t.Fatal("a breaker with -1 probes was made")
	}
}

// The zero ticket is none, and costs nobody a panic.
func TestGuardOfTheZeroTicket(t *testing.T) {
	b, err := breaker.New(breaker.Options{Name: "b", Settings: breakerSettings(&parse(t, guarded(nobody, `{}`)).Backends[0])})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Stop()
	guard{b}.Done(time.Now(), new(relay.Ticket), relay.Failure, "")
	if st := b.Status(); st.Totals.Failures != 0 {
		t.Errorf("the zero ticket made %+v", st)
	}
}

// A call through the guard of a closed breaker costs no memory.
func TestGuardCostsNoMemory(t *testing.T) {
	b, err := breaker.New(breaker.Options{Name: "b", Settings: breakerSettings(&parse(t, guarded(nobody, `{}`)).Backends[0])})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Stop()
	var g relay.Breaker = guard{b}
	now := time.Now()
	if n := testing.AllocsPerRun(1000, func() {
		ticket, _ := g.Allow(now, nil)
		g.Done(now, &ticket, relay.Success, "")
	}); n > 0 {
		t.Errorf("%v allocations a call, want none", n)
	}
}

// errorInfo is the reason that loom gives with a status, and when to retry.
func errorInfo(err error) (info *errdetails.ErrorInfo, retry *errdetails.RetryInfo) {
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			retry = d
		}
	}
	return info, retry
}

func TestHalfOpen22WeightedRouteSkipsOpenBackends(t *testing.T) {
	good, bad := newMoody(t), newMoody(t)
	bad.be(codes.Internal)
	r := serve(t, `
listeners: [`+anyPort+`]
backends:
  good: {targets: ["`+good.address+`"], breaker: {open_for: 1m}}
  bad: {targets: ["`+bad.address+`"], breaker: {trip: {consecutive: 2}, open_for: 30s}}
routes: [{name: all, backends: [{name: good, weight: 1}, {name: bad, weight: 99}]}]
`)
	cc := r.client(0)
	eventually(t, "the bad one is open", func() bool {
		askMany(cc, 1)
		return breakerView(t, r, "bad").State == "open"
	})
	before := bad.calls.Load()
	if got := askMany(cc, 100); slices.ContainsFunc(got, func(c codes.Code) bool { return c != codes.OK }) {
		t.Errorf("with one backend open callers saw %v", got)
	}
	if n := bad.calls.Load() - before; n != 0 {
		t.Errorf("%d calls came to the open backend", n)
	}

	good.be(codes.Internal)
	askMany(cc, 5)
	_, err := ask(cc, "/test.Moody/Call", "q")
	info, retry := errorInfo(err)
	if status.Code(err) != codes.Unavailable || info.GetReason() != "BREAKER_OPEN" || info.GetMetadata()["backend"] != "bad" {
		t.Fatalf("with all backends open the caller saw %v, %v", err, info)
	}
	if d := retry.GetRetryDelay().AsDuration(); d <= 0 || d > 36*time.Second {
		t.Errorf("it may retry in %s, which is not the sooner of the two", d)
	}
}

// What a caller gets is Trailers-Only: no headers, and the pushback.
func TestHalfOpen30RejectionIsTrailersOnly(t *testing.T) {
	m := newMoody(t)
	r := serve(t, guarded(m.address, `{trip: {consecutive: 1}, open_for: 500ms}`))
	cc := r.client(0)
	m.be(codes.Internal)
	askMany(cc, 1)
	var header, trailer metadata.MD
	_, err := ask(cc, "/test.Moody/Call", "q", grpc.Header(&header), grpc.Trailer(&trailer))
	if status.Code(err) != codes.Unavailable || len(header) != 0 || len(trailer.Get("grpc-retry-pushback-ms")) != 1 {
		t.Errorf("the caller saw %v, headers %v, trailers %v", err, header, trailer)
	}
}
