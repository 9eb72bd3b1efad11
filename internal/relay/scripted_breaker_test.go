package relay_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"loom/internal/relay"
)

// scriptedBreaker does as a test says, notes the verdicts, and demands exactly
// one for each attempt that it allowed.
type scriptedBreaker struct {
	t *testing.T

	mu sync.Mutex
	// guarded by mu
	rejection *relay.Rejection // what it answers to all; nil: it allows all
	probes    bool             // what it allows are probes
	probers   []relay.Prober
	open      map[uint64]bool // attempts without a verdict
	verdicts  []string        // with why, as "failure: why"
	rejected  int
}

// scriptedTicket is what its tickets refer to.
type scriptedTicket struct {
	of     *scriptedBreaker
	number uint64
}

func newScriptedBreaker(t *testing.T) *scriptedBreaker {
	return &scriptedBreaker{t: t, open: make(map[uint64]bool)}
}

// reject has the breaker refuse from now on; nil: allow again.
func (k *scriptedBreaker) reject(r *relay.Rejection) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rejection = r
}

// Allow implements relay.Breaker.
func (k *scriptedBreaker) Allow(_ time.Time, p relay.Prober) (relay.Ticket, *relay.Rejection) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rejection != nil {
		k.rejected++
		return relay.Ticket{}, k.rejection
	}
	k.probers = append(k.probers, p)
	n := uint64(len(k.probers))
	k.open[n] = true
	return relay.Ticket{Ref: scriptedTicket{k, n}, Probe: k.probes}, nil
}

// Done implements relay.Breaker.
func (k *scriptedBreaker) Done(_ time.Time, t *relay.Ticket, v relay.Verdict, why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	own, ok := t.Ref.(scriptedTicket)
	if !ok || own.of != k || !k.open[own.number] {
		k.t.Errorf("verdict %d (%s) for attempt %d, which has none to come", v, why, own.number)
	}
	delete(k.open, own.number)
	k.noteLocked([]string{"excluded", "success", "failure"}[v], why)
}

// Failed implements relay.Breaker.
func (k *scriptedBreaker) Failed(why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.noteLocked("afterwards", why)
}

func (k *scriptedBreaker) noteLocked(verdict, why string) {
	if why != "" {
		verdict = fmt.Sprintf("%s: %s", verdict, why)
	}
	k.verdicts = append(k.verdicts, verdict)
}

// Closed implements relay.Breaker.
func (k *scriptedBreaker) Closed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.rejection == nil && !k.probes
}

// got returns the verdicts so far.
func (k *scriptedBreaker) got() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.verdicts)
}

// want demands exactly these verdicts so far.
func (k *scriptedBreaker) want(verdicts ...string) {
	k.t.Helper()
	if got := k.got(); !slices.Equal(got, verdicts) {
		k.t.Errorf("verdicts %q, want %q", got, verdicts)
	}
}

// unary asks the attempt that was allowed last, as a breaker asks a silent probe.
func (k *scriptedBreaker) unary() bool {
	k.mu.Lock()
	p := k.probers[len(k.probers)-1]
	k.mu.Unlock()
	return p.Unary()
}

// check demands that no verdict is missing.
func (k *scriptedBreaker) check(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := len(k.open); n > 0 {
		k.t.Errorf("breaker of %s: %d attempts ended without a verdict", name, n)
	}
}
