package breaker

import (
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// What gobreaker is told of attempts that did not succeed.
var (
	errFailure  = errors.New("failure")
	errExcluded = errors.New("excluded")
)

// episode is one gobreaker: an opening, from its first refusal until it opens
// anew, closed spell at the end included. gobreaker's time-out is fixed, so
// each opening has its own.
//
// gobreaker's windows are not used: they forget the calls that outlive them,
// and with them the failures in a row. Its ReadyToTrip is our own judgement.
//
// All of it is guarded by Breaker.mu, under which gobreaker calls back.
type episode struct {
	steps *gobreaker.TwoStepCircuitBreaker[struct{}]
	trip  bool            // the answer to ReadyToTrip
	state gobreaker.State // as far as gobreaker has told
}

// newEpisode returns a closed one. Probes and openFor are for the time when it
// has opened.
func newEpisode(probes int, openFor time.Duration) *episode {
	e := &episode{}
	e.steps = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   uint32(probes),
		Timeout:       max(openFor, 1), // gobreaker takes 0 for a minute
		ReadyToTrip:   func(gobreaker.Counts) bool { return e.trip },
		OnStateChange: func(_ string, _, to gobreaker.State) { e.state = to },
		IsSuccessful:  func(err error) bool { return err == nil },
		IsExcluded:    func(err error) bool { return err == errExcluded }, //nolint:errorlint // it is ours, and never wrapped
	})
	return e
}

// newOpening returns one that has just opened.
func newOpening(probes int, openFor time.Duration) *episode {
	e := newEpisode(probes, openFor)
	e.trip = true
	e.fail()
	return e
}

// fail tells gobreaker of a failure that belongs to no attempt.
func (e *episode) fail() {
	if done, err := e.steps.Allow(); err == nil {
		done(errFailure)
	}
}

// wake has gobreaker look at its clock: it does so only when it is asked.
func (e *episode) wake() { e.steps.State() }

// err is what gobreaker is told for v.
func (v Verdict) err() error {
	switch v {
	case Success:
		return nil
	case Failure:
		return errFailure
	default:
		return errExcluded
	}
}
