package breaker

import "time"

// Ticket stands for an attempt that was allowed, until Done takes it back. It
// is a small value, and is not copied; the zero one stands for none.
type Ticket struct {
	Attempt *Attempt // the breaker's own
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

// Attempt is what a breaker knows of an attempt. All that are made in a spell
// share one: nearly all are, and nothing is to be told of each of them.
type Attempt struct {
	// Immutable: one of the two is there.
	spell *spell   // while which it was allowed
	asked *inquiry // what gobreaker was asked for
}

// inquiry is an attempt that gobreaker allowed and waits for.
type inquiry struct {
	// Guarded by Breaker.mu.
	done     func(error) // gobreaker's
	epoch    uint64      // of the breaker, when it was allowed
	deadline time.Time   // of a probe
	prober   Prober      // of a probe
	settled  bool        // the verdict came
	judged   bool        // the time limit of the probe gave it instead
}
