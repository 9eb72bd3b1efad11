package relay

import "time"

// Breaker says whether a backend may be called, and hears how its attempts
// ended. It is called by any number of goroutines at once, with the lock of a
// call held: its methods return at once and call nobody back.
type Breaker interface {
	// Allow asks for leave to make an attempt. If it is given, the rejection
	// is nil and exactly one Done with the ticket follows. It may be given to
	// probe a backend that failed before: then p is asked about the attempt if
	// no verdict has come within the time that a probe has.
	Allow(now time.Time, p Prober) (Ticket, *Rejection)
	// Done says how the attempt ended, at now, and takes the ticket back. why
	// is for people: a status or what went wrong; it may be empty.
	Done(now time.Time, t *Ticket, v Verdict, why string)
	// Failed counts a failure that came after the verdict: a stream that was a
	// good probe is lost later.
	Failed(why string)
	// Closed reports whether calls pass as they come. It takes no place.
	Closed() bool
}

// Ticket is what a Breaker has to know of an attempt that it allowed. Only the
// breaker looks into it. A Ref that holds a pointer or a function makes it
// cost no memory.
type Ticket struct {
	Ref any
	// Probe: the verdict is waited for, so it comes as soon as the backend
	// begins to answer, and not at the end of the call.
	Probe bool
}

// Verdict is what the end of an attempt says about the backend.
type Verdict uint8

// The verdicts.
const (
	Excluded Verdict = iota // nothing
	Success                 // it answers
	Failure                 // it does not do its work
)

// Rejection says why an attempt is not allowed.
type Rejection struct {
	// HalfOpen: the backend is being tried, with as many calls as are allowed.
	HalfOpen bool
	// Forced: an operator keeps the backend from being called.
	Forced bool
	// RetryIn is how long it will take until the next attempt may be allowed;
	// 0 if nobody knows.
	RetryIn time.Duration
}

// Prober is an attempt that probes a backend.
type Prober interface {
	// Unary reports whether the caller has sent one message and no more will
	// come, so that an answer is due. It is called with no lock held, also
	// after the attempt has ended.
	Unary() bool
}
