package server

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/internal/breaker"
)

// opened is a server whose breaker is open, and would try the backend after a
// moment.
func opened(t *testing.T) *running {
	t.Helper()
	r := serve(t, `
listeners: [`+anyPort+`]
backends: {b: {targets: ["`+nobody+`"], breaker: {trip: {consecutive: 3}, open_for: 200ms, max_open_for: 200ms, half_open: {probe_timeout: 300ms}}}}
routes: [{name: all, backend: b}]
`)
	for range 3 {
		if _, err := ask(r.client(0), "/test.Echo/Call", ""); status.Code(err) != codes.Unavailable {
			t.Fatalf("a call to nobody ended with %v", err)
		}
	}
	return r
}

func (r *running) breaker() breaker.State { return r.now().breakers["b"].Status().State }

// While a successor comes about the backend is left to it; if it fails, this
// process tries again.
func TestBreakersWaitForASuccessor(t *testing.T) {
	r := opened(t)
	saveAll(t, r.Server)
	time.Sleep(400 * time.Millisecond)
	if st := r.breaker(); st != breaker.Open {
		t.Fatalf("the breaker is %s, though a successor has its record", st)
	}
	r.resumeBreakers()
	eventually(t, "the breaker lets a probe pass", func() bool { return r.breaker() == breaker.HalfOpen })
}

// A process that drains leaves the first try to its successor, and then goes on
// for the connections that it still has.
func TestBreakersYield(t *testing.T) {
	r := opened(t)
	saveAll(t, r.Server)
	start := time.Now()
	defer r.yieldBreakers()()
	eventually(t, "the breaker lets a probe pass", func() bool { return r.breaker() == breaker.HalfOpen })
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("it tried the backend after %v, before its successor can have", took)
	}
	again := opened(t)
	saveAll(t, again.Server)
	again.yieldBreakers()()
	time.Sleep(700 * time.Millisecond)
	if st := again.breaker(); st != breaker.Open {
		t.Errorf("after the end the breaker is %s", st)
	}
}
