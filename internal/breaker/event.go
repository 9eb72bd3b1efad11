package breaker

import (
	"slices"
	"time"
)

// Event is a change of state.
type Event struct {
	Backend  string
	From, To State
	Reason   string // for people
	At       time.Time
	// RetryIn is how long calls are refused, when To is Open.
	RetryIn time.Duration
	// Missed is how many events were left out before this one, because the
	// subscriber did not keep up.
	Missed uint64
}

// maxEvents bounds the events that wait for their subscriber. Changes are
// rare; one who is so far behind is stuck, and the newest tell most.
const maxEvents = 64

// tellLocked queues an event, and has it delivered with the lock free.
func (b *Breaker) tellLocked(e Event) {
	if b.onEvent == nil || b.stopped {
		return
	}
	if len(b.events) == maxEvents {
		missed := b.events[0].Missed + 1
		b.events = slices.Delete(b.events, 0, 1)
		b.events[0].Missed += missed
	}
	b.events = append(b.events, e)
	if !b.delivering {
		b.delivering = true
		b.working.Go(b.deliver)
	}
}

// deliver lives as long as there are events.
func (b *Breaker) deliver() {
	for {
		b.mu.Lock()
		if len(b.events) == 0 {
			b.delivering = false
			b.mu.Unlock()
			return
		}
		e := b.events[0]
		b.events = slices.Delete(b.events, 0, 1)
		b.mu.Unlock()
		b.onEvent(e)
	}
}
