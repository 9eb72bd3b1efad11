package breaker

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Options is what a Breaker is made of. Name and Settings are required.
type Options struct {
	// Name of the backend, for events and records.
	Name     string
	Settings Settings
	// OnEvent is told of each change of state: one after the other, in order,
	// with no lock held, on a goroutine of the breaker's. It may call the
	// breaker, but not Stop. Nil: nobody is told.
	OnEvent func(Event)
	// Chance returns a number between 0 and 1 for the jitter of openings. Nil:
	// math/rand's.
	Chance func() float64
}

// Breaker guards one backend. Its methods may be called by any number of
// goroutines at once, and return without waiting for anybody; only Stop waits.
//
// Its lock is a leaf: while it is held nothing of loom's is called and no other
// lock of loom's is taken, so every method but Stop may be called with any lock
// held.
type Breaker struct {
	// Immutable.
	name    string
	onEvent func(Event)
	chance  func() float64
	origin  time.Time // when it was made

	// What calls need while it is closed, without the lock.
	closed  atomic.Pointer[spell] // nil in every other state; set with mu held
	counted counted

	working sync.WaitGroup // the timer's goroutine and that of events; grows under mu, not once stopped

	mu sync.Mutex
	// Guarded by mu.
	settings    Settings
	state       State
	since       time.Time
	epoch       uint64 // +1 with each change of state
	episode     *episode
	window      window
	consecutive int       // failures in a row
	rowSince    time.Time // when the first of them came
	trip        tripReason
	openings    int       // in a row
	openUntil   time.Time // of Open
	probeWhy    string    // why Open ends
	probeFor    time.Duration
	probes      []*Attempt // without a verdict, by deadline
	timer       *time.Timer
	paused      bool
	stopped     bool
	totals      Totals
	lastError   string
	lastErrorAt time.Time
	events      []Event
	delivering  bool
	gathered    struct{ allowed, successes uint64 } // what of counted is in window and totals
}

// New returns a closed Breaker. It holds no goroutine while it is closed; call
// Stop when it is not needed any more.
func New(o Options) (*Breaker, error) {
	if err := o.Settings.Check(); err != nil {
		return nil, fmt.Errorf("make the breaker of backend %q: %w", o.Name, err)
	}
	b := &Breaker{name: o.Name, onEvent: o.OnEvent, chance: o.Chance, settings: o.Settings}
	if b.chance == nil {
		b.chance = rand.Float64
	}
	now := time.Now()
	b.since, b.origin = now, now
	b.window = newWindow(o.Settings.Window, now)
	b.episode = newEpisode(o.Settings.Probes, o.Settings.OpenFor)
	b.spellLocked()
	return b, nil
}

// Name returns the name of the backend.
func (b *Breaker) Name() string { return b.name }

// Rejection says why an attempt was not allowed.
type Rejection struct {
	State State // Open, HalfOpen or ForcedOpen
	// RetryIn is how long it takes until the next attempt may be allowed; 0 if
	// nobody knows, as with ForcedOpen.
	RetryIn time.Duration
}

// Allow asks for leave to make an attempt. If it is given, ok is true and one
// Done with the ticket must follow; else the rejection says why not. p is asked
// about a probe that stays without a verdict; nil: nothing is known of it.
func (b *Breaker) Allow(now time.Time, p Prober) (t Ticket, r Rejection, ok bool) {
	if t, ok := b.pass(); ok {
		return t, Rejection{}, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == ForcedOpen || b.paused && !b.state.passes() {
		return Ticket{}, b.rejectLocked(now), false
	}
	done, err := b.episode.steps.Allow()
	b.followLocked(b.probeWhy)
	if err != nil {
		return Ticket{}, b.rejectLocked(now), false
	}
	a := &Attempt{asked: &inquiry{done: done, epoch: b.epoch}}
	b.totals.Allowed++
	probe := b.state == HalfOpen
	if probe {
		b.probeLocked(a, p)
	}
	return Ticket{Attempt: a, Probe: probe}, Rejection{}, true
}

// soon is when to come again while probes are under way: a backend that is back
// has answered them by then, and the time limit of a probe would have those who
// could be served wait for long.
const soon = time.Second

func (b *Breaker) rejectLocked(now time.Time) Rejection {
	b.totals.Rejected++
	r := Rejection{State: b.state}
	switch {
	case b.state == Open:
		r.RetryIn = max(1, b.openUntil.Sub(now))
	case b.state == HalfOpen && len(b.probes) > 0:
		r.RetryIn = max(1, min(soon, b.probes[0].asked.deadline.Sub(now)))
	case b.state == HalfOpen:
		r.RetryIn = soon
	}
	return r
}

// Done says how an attempt ended, at now. why is for people. It takes the
// ticket back, which is the zero one afterwards, so that only the first Done
// counts; and that only while the breaker is in the state in which it allowed
// the attempt: later ones are counted as late.
func (b *Breaker) Done(now time.Time, t *Ticket, v Verdict, why string) {
	a := t.Attempt
	*t = Ticket{}
	if a == nil || a.spell != nil && v == Success && b.succeed(a.spell, now) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if q := a.asked; q != nil {
		if q.settled {
			return
		}
		q.settled = true
	}
	switch {
	case a.spell != nil && a.spell != b.closed.Load(), a.asked != nil && b.pastLocked(a.asked):
		b.totals.Late++
	default:
		b.judgeLocked(a, v, why)
	}
}

// pastLocked reports whether it is too late for the verdict of an attempt.
func (b *Breaker) pastLocked(q *inquiry) bool { return q.judged || q.epoch != b.epoch }

// Closed reports whether every call passes. It takes no place of a probe.
func (b *Breaker) Closed() bool {
	if b.closed.Load() != nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state.passes()
}
