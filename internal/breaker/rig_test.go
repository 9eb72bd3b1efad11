package breaker

import (
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/loomtest"
)

func TestMain(m *testing.M) { os.Exit(loomtest.CheckLeaksMain(m)) }

// usual are the settings of most tests. With noJitter an opening lasts 10 s, the
// next ones 20 s, 40 s, 60 s.
func usual() Settings {
	return Settings{
		Window: time.Minute, Consecutive: 5, FailureRatio: 0.5, MinRequests: 20,
		OpenFor: 10 * time.Second, MaxOpenFor: time.Minute, Probes: 3, ProbeTimeout: 5 * time.Second,
	}
}

func noJitter() float64 { return 0.5 }

// unary and stream are probes of which that is known.
type (
	unary  struct{}
	stream struct{}
)

func (unary) Unary() bool  { return true }
func (stream) Unary() bool { return false }

// rig is a breaker whose events are kept.
type rig struct {
	*Breaker

	t      *testing.T
	mu     sync.Mutex
	events []Event
}

func newRig(t *testing.T, s Settings) *rig {
	t.Helper()
	r := &rig{t: t}
	b, err := New(Options{Name: "users", Settings: s, Chance: noJitter, OnEvent: func(e Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, e)
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.Breaker = b
	t.Cleanup(b.Stop)
	return r
}

// inBubble runs a test of a breaker with the usual settings on fake time.
func inBubble(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newRig(t, usual())) })
}

func (r *rig) want(s State) {
	r.t.Helper()
	if got := r.Status().State; got != s {
		r.t.Fatalf("the breaker is %s, want %s", got, s)
	}
}

// allow wants an attempt to be allowed.
func (r *rig) allow(p Prober) Ticket {
	r.t.Helper()
	t, rejection, ok := r.Allow(time.Now(), p)
	if !ok {
		r.t.Fatalf("rejected: %+v", rejection)
	}
	return t
}

// Done says now how an attempt ended.
func (r *rig) Done(t Ticket, v Verdict, why string) { r.Breaker.Done(time.Now(), &t, v, why) }

// rejected wants an attempt not to be allowed.
func (r *rig) rejected() Rejection {
	r.t.Helper()
	_, rejection, ok := r.Allow(time.Now(), unary{})
	if ok {
		r.t.Fatalf("allowed while %s", r.Status().State)
	}
	return rejection
}

// call makes an attempt that ends at once.
func (r *rig) call(v Verdict) {
	r.t.Helper()
	r.Done(r.allow(unary{}), v, "UNAVAILABLE")
}

// open has a closed breaker open.
func (r *rig) open() {
	r.t.Helper()
	for range r.settings.Consecutive {
		r.call(Failure)
	}
	r.want(Open)
}

// halfOpen has a closed breaker be half-open.
func (r *rig) halfOpen() {
	r.t.Helper()
	r.open()
	pass(r.settings.OpenFor + 1)
	r.want(HalfOpen)
}

// pass lets time pass, and what it brings happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// went wants the events to be these changes, from closed.
func (r *rig) went(states ...State) {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	from, got := Closed, make([]State, 0, len(states))
	for _, e := range r.events {
		if e.From != from {
			r.t.Errorf("an event goes from %s, the one before went to %s", e.From, from)
		}
		if e.Reason == "" || e.Backend != "users" {
			r.t.Errorf("an event lacks its reason or backend: %+v", e)
		}
		from = e.To
		got = append(got, e.To)
	}
	if !slices.Equal(got, states) {
		r.t.Errorf("it went %v, want %v", got, states)
	}
}
