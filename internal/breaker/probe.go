package breaker

import (
	"slices"
	"time"
)

// probeLocked has a, the newest attempt, judged in time.
func (b *Breaker) probeLocked(a *Attempt, p Prober) {
	b.totals.Probes++
	a.asked.prober = p
	a.asked.deadline = time.Now().Add(b.probeFor)
	b.probes = append(b.probes, a)
	if len(b.probes) == 1 {
		b.armLocked()
	}
}

// forgetProbeLocked stops watching a. The timer may fire for it still, finds
// nothing to do, and goes on to the next.
func (b *Breaker) forgetProbeLocked(a *Attempt) {
	if i := slices.Index(b.probes, a); i >= 0 {
		b.probes = slices.Delete(b.probes, i, i+1)
	}
}

// armLocked sets the timer for what has to happen without a call: the end of
// being open, or the time limit of the oldest probe.
func (b *Breaker) armLocked() {
	var d time.Duration
	switch {
	case b.stopped:
	case b.state == Open && !b.paused:
		// gobreaker is open up to and including the instant, and for a
		// nanosecond if it was to be open for none.
		d = max(2, time.Until(b.openUntil)+1)
	case b.state == HalfOpen && len(b.probes) > 0:
		d = max(1, time.Until(b.probes[0].asked.deadline))
	}
	switch {
	case d == 0 && b.timer != nil:
		b.timer.Stop()
	case d == 0:
	case b.timer == nil:
		b.timer = time.AfterFunc(d, b.wake)
	default:
		b.timer.Reset(d)
	}
}

// wake is what the timer runs.
func (b *Breaker) wake() {
	b.mu.Lock()
	if b.stopped {
		b.mu.Unlock()
		return
	}
	b.working.Add(1)
	defer b.working.Done()
	if b.state == Open && !b.paused {
		b.episode.wake()
		b.followLocked(b.probeWhy)
	}
	silent := b.silentLocked(time.Now())
	b.mu.Unlock()
	for _, s := range silent {
		b.judgeSilence(s)
	}
	b.mu.Lock()
	b.armLocked()
	b.mu.Unlock()
}

// silence is a probe whose time is over.
type silence struct {
	attempt *Attempt
	prober  Prober
}

func (b *Breaker) silentLocked(now time.Time) []silence {
	var all []silence
	for _, a := range b.probes {
		if a.asked.deadline.After(now) {
			break
		}
		all = append(all, silence{a, a.asked.prober})
	}
	return all
}

// judgeSilence gives the verdict of a probe whose time is over: a unary call
// ought to have an answer, a stream may be silent. The call itself goes on.
func (b *Breaker) judgeSilence(s silence) {
	verdict := Excluded
	if s.prober != nil && s.prober.Unary() {
		verdict = Failure
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a := s.attempt
	if a.asked.settled || b.pastLocked(a.asked) {
		return // its verdict came while the prober was asked
	}
	b.totals.ProbeTimeouts++
	a.asked.judged = true
	b.judgeLocked(a, verdict, "no answer within "+b.probeFor.String())
}
