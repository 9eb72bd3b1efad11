package breaker

import (
	"sync/atomic"
	"time"
)

// spell is a time in which the breaker is closed. Nearly all calls are made in
// one and succeed: they take no lock, and do not ask gobreaker, which has
// nothing to say to them. The rest, a success after a failure among it, takes
// the lock as ever.
type spell struct {
	attempt Attempt // immutable: stands for all that are made in it

	failing atomic.Bool  // there are failures in a row, which a success has to end
	until   atomic.Int64 // since Breaker.origin: when the newest bucket of the window is over
}

// line keeps what different processors write out of each other's caches.
type line [64]byte

// counted is what calls that took no lock have added since the breaker was
// made. gatherLocked has what of it is in the window and the totals.
type counted struct {
	_         line
	allowed   atomic.Uint64
	_         line
	successes atomic.Uint64
	_         line
}

// pass allows an attempt without the lock. It reports false if that cannot be.
func (b *Breaker) pass() (Ticket, bool) {
	s := b.closed.Load()
	if s == nil {
		return Ticket{}, false
	}
	b.counted.allowed.Add(1)
	return Ticket{Attempt: &s.attempt}, true
}

// succeed counts the success of an attempt at now without the lock. It reports
// false if that cannot be.
func (b *Breaker) succeed(s *spell, now time.Time) bool {
	if b.closed.Load() != s || s.failing.Load() || int64(now.Sub(b.origin)) >= s.until.Load() {
		return false
	}
	b.counted.successes.Add(1)
	return true
}

// gatherLocked puts what was counted without the lock where it belongs: in the
// bucket that was the newest until now. Then the window is that of now. Whoever
// looks at it or at the totals calls this first.
func (b *Breaker) gatherLocked(now time.Time) {
	allowed, successes := b.counted.allowed.Load(), b.counted.successes.Load()
	b.totals.Allowed += allowed - b.gathered.allowed
	b.totals.Successes += successes - b.gathered.successes
	b.window.succeeded(int(successes - b.gathered.successes))
	b.gathered.allowed, b.gathered.successes = allowed, successes
	b.window.roll(now)
	b.markLocked()
}

// markLocked has those who take no lock know of the window and of the row.
func (b *Breaker) markLocked() {
	if s := b.closed.Load(); s != nil {
		s.failing.Store(b.consecutive > 0)
		s.until.Store(int64(b.window.end().Sub(b.origin)))
	}
}

// freshWindowLocked forgets what is in the window.
func (b *Breaker) freshWindowLocked(now time.Time) {
	b.gatherLocked(now)
	b.window = newWindow(b.settings.Window, now)
	b.markLocked()
}

// spellLocked begins a spell if the breaker is closed, and ends the one before.
// Until it is marked, everybody takes the lock.
func (b *Breaker) spellLocked() {
	if b.state != Closed || b.stopped {
		b.closed.Store(nil)
		return
	}
	s := new(spell)
	s.attempt.spell = s
	b.closed.Store(s)
	b.markLocked()
}
