package breaker

import (
	"testing"
	"time"
)

func TestOpenHoldsUntilAuto(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.Open("the operator")
		pass(1000 * time.Hour)
		if got := r.rejected(); got != (Rejection{State: ForcedOpen}) {
			t.Errorf("rejected with %+v", got)
		}
		r.Auto("the operator")
		r.call(Success)
		r.went(ForcedOpen, Closed)
		if why := r.events[0].Reason; why != "opened by the operator" {
			t.Errorf("the reason is %q", why)
		}
	})
}

func TestCloseLetsEverythingPassAndCounts(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.open()
		r.Close("the operator")
		for range 100 {
			r.call(Failure)
		}
		r.want(Disabled)
		if s := r.Status(); s.Failures != 105 || s.Totals.Failures != 105 {
			t.Errorf("it counted %+v", s)
		}
		r.Auto("the operator")
		r.want(Closed)
		if s := r.Status(); s.Failures != 0 || s.Consecutive != 0 || s.Openings != 0 {
			t.Errorf("it starts with %+v", s)
		}
		r.open()
		r.went(Open, Disabled, Closed, Open)
	})
}

func TestAutoLetsABreakerThatJudgesBe(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.open()
		r.Auto("the operator")
		r.want(Open)
		r.went(Open)
	})
}

func TestResetEmptiesTheCounters(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*rig)
		after  State
	}{
		"closed":      {func(r *rig) { r.call(Failure) }, Closed},
		"open":        {(*rig).open, Closed},
		"half-open":   {(*rig).halfOpen, Closed},
		"forced open": {func(r *rig) { r.Open("the operator") }, Closed},
		"disabled":    {func(r *rig) { r.Close("the operator"); r.call(Failure) }, Disabled},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				c.before(r)
				failures := r.Status().Totals.Failures
				r.Reset("the operator")
				s := r.Status()
				if s.State != c.after || s.Verdicts != 0 || s.Consecutive != 0 || s.Openings != 0 || s.LastError != "" || s.Probing != 0 {
					t.Errorf("reset to %+v", s)
				}
				if s.Totals.Failures != failures {
					t.Errorf("the totals lost %d failures", failures-s.Totals.Failures)
				}
				pass(time.Hour)
				r.want(c.after) // no timer is left
				r.call(Success)
			})
		})
	}
}

func TestResetOfAClosedOneKeepsCallsInFlight(t *testing.T) {
	inBubble(t, func(r *rig) {
		ticket := r.allow(unary{})
		r.Reset("the operator")
		r.Done(ticket, Failure, "UNAVAILABLE")
		if s := r.Status(); s.Totals.Late != 0 || s.Consecutive != 1 {
			t.Errorf("after the reset: %+v", s)
		}
	})
}
