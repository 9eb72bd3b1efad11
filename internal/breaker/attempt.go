package breaker

import "time"

// Ticket stands for an attempt that was allowed. It is a small value; the zero
// one stands for none.
type Ticket struct {
	// Attempt and Turn are the breaker's own.
	Attempt *Attempt
	Turn    uint64
	// Probe: the breaker was half-open, and waits for the verdict. Give it as
	// soon as it is known that the backend answers.
	Probe bool
}

// Prober is who makes an attempt that may turn out to be a probe.
type Prober interface {
	// Unary reports whether one message was sent and no more will come, so that
	// an answer is due. It is called with no lock held, from the breaker's
	// timer, also after the attempt has ended.
	Unary() bool
}

// Attempt is what a breaker knows of an attempt. It is used again when the
// verdict is in; the turn tells the tickets of its users apart.
type Attempt struct {
	// Guarded by Breaker.mu.
	turn     uint64
	done     func(error) // gobreaker's
	epoch    uint64      // of the breaker, when it was allowed
	deadline time.Time   // of a probe
	prober   Prober      // of a probe
	judged   bool        // the time limit of the probe gave the verdict
	next     *Attempt    // when it is free
}

// maxFree bounds the attempts that are kept for use again, at some 70 bytes
// each: as many calls as 4 callers have open with the usual limit. The
// collector has the others.
const maxFree = 4096

// takeLocked returns an attempt for use.
func (b *Breaker) takeLocked(done func(error)) *Attempt {
	a := b.free
	if a == nil {
		a = &Attempt{}
	} else {
		b.free = a.next
		b.nfree--
		a.next = nil
	}
	a.done, a.epoch = done, b.epoch
	return a
}

// releaseLocked makes every ticket of a void.
func (b *Breaker) releaseLocked(a *Attempt) {
	a.turn++
	a.done, a.prober, a.judged = nil, nil, false
	if b.nfree < maxFree {
		a.next = b.free
		b.free = a
		b.nfree++
	}
}
