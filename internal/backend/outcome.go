package backend

import "time"

// Outcome is how an attempt ended, as far as it says something about the
// endpoint.
type Outcome uint8

// Outcomes of an attempt.
const (
	Neither Outcome = iota // it says nothing: the caller gave up
	Good                   // the endpoint answered, if only that the request is wrong
	Bad                    // the endpoint failed
)

// Name returns the endpoint's address as people write it.
func (e *Endpoint) Name() string { return e.name }

// Done says that an attempt which the endpoint took has ended, at now. It
// calls nobody, so it may be called with a call's lock held.
func (e *Endpoint) Done(now time.Time, o Outcome) {
	e.inFlight.Add(-1)
	e.backend.leave()
	switch o {
	case Good:
		e.good.Add(1)
	case Bad:
		e.bad.Add(1)
	}
	e.count(now, o)
}
