package breaker

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The half-open cases in which others take part: what the breaker gives to the
// relay, the backend and the operator.

func TestHalfOpen22ClosedTellsRoutesAndTakesNoPlace(t *testing.T) {
	inBubble(t, func(r *rig) {
		if !r.Closed() {
			t.Error("a closed breaker says that it is not")
		}
		r.halfOpen()
		for range 100 {
			if r.Closed() {
				t.Fatal("a half-open breaker says that it is closed")
			}
		}
		for range 3 {
			r.allow(unary{}) // all places are there still
		}
		r.Open("the operator")
		if r.Closed() {
			t.Error("a forced-open breaker says that it is closed")
		}
		r.Close("the operator")
		if !r.Closed() {
			t.Error("a disabled breaker says that it is open")
		}
	})
}

func TestHalfOpen23FailuresBelowTheTripLeaveTheBackendClosed(t *testing.T) {
	inBubble(t, func(r *rig) { // one endpoint of three fails, in turn with two good ones
		for range 1000 {
			r.call(Success)
			r.call(Failure)
			r.call(Success)
			pass(10 * time.Millisecond)
		}
		r.want(Closed)
		if s := r.Status(); s.FailureRatio() < 0.33 || s.FailureRatio() > 0.34 {
			t.Errorf("the share of failures is %v", s.FailureRatio())
		}
	})
}

// A burst of calls, of which the bad endpoint answers its third in one piece,
// before the others do.
func TestHalfOpen23BurstOfOneBadEndpointLeavesTheBackendClosed(t *testing.T) {
	inBubble(t, func(r *rig) {
		s := usual()
		s.Lasting, s.FailureRatio = 100*time.Millisecond, 0.6
		if err := r.Apply(s); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			var bad, good []Ticket
			for i := range 30 {
				if i%3 == 0 {
					bad = append(bad, r.allow(unary{}))
				} else {
					good = append(good, r.allow(unary{}))
				}
			}
			for _, b := range bad {
				r.Done(b, Failure, "UNAVAILABLE")
			}
			pass(time.Millisecond)
			for _, g := range good {
				r.Done(g, Success, "")
			}
			pass(20 * time.Millisecond)
		}
		r.want(Closed)
		for range 5 { // and when all are bad, it takes no longer than that
			r.call(Failure)
			pass(25 * time.Millisecond)
		}
		r.want(Open)
	})
}

func TestHalfOpen24RetryTakesOneProbePlaceAtATime(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.halfOpen()
		first := r.allow(unary{})
		r.Done(first, Failure, "UNAVAILABLE") // and the retry asks anew
		if got := r.rejected(); got.State != Open || got.RetryIn != 20*time.Second {
			t.Errorf("the retry got %+v", got)
		}
		if n := r.Status().Totals.Probes; n != 1 {
			t.Errorf("%d probes, want 1", n)
		}
	})
}

func TestHalfOpen25WhoNeverAsksIsNeverCounted(t *testing.T) {
	inBubble(t, func(r *rig) { // mirrored calls have no ticket
		r.halfOpen()
		for range 100 {
			r.Done(Ticket{}, Failure, "UNAVAILABLE")
		}
		r.want(HalfOpen)
		if s := r.Status(); s.Totals.Failures != 5 || s.Totals.Late != 0 || s.Probing != 0 {
			t.Errorf("after a hundred mirrored calls: %+v", s)
		}
	})
}

func TestHalfOpen26HealthySignProbesEarlyAndClosesNothing(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.Probe("healthy") // closed: nothing to do
		r.want(Closed)
		r.open()
		pass(time.Second)
		r.Probe("healthy")
		pass(2)
		r.want(HalfOpen)
		r.Probe("healthy")
		pass(time.Hour)
		r.want(HalfOpen) // only probes close it
		r.call(Failure)
		r.want(Open)
		if d := r.Status().NextProbe; d != 20*time.Second {
			t.Errorf("the second opening lasts %s, want 20s", d)
		}
		r.went(Open, HalfOpen, Open)
		if why := r.events[1].Reason; why != "healthy" {
			t.Errorf("it was half-open because of %q", why)
		}
		r.Open("the operator")
		r.Probe("healthy")
		pass(time.Minute)
		r.want(ForcedOpen)
	})
}

func TestHalfOpen27SubscriberMayCallTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *Breaker
		var seen []State
		b, err := New(Options{Name: "users", Settings: usual(), Chance: noJitter, OnEvent: func(e Event) {
			seen = append(seen, e.To, b.Status().State)
			b.Snapshot()
		}})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			ticket, _, _ := b.Allow(time.Now(), nil)
			b.Done(time.Now(), &ticket, Failure, "")
		}
		pass(10*time.Second + 1)
		b.Stop()
		if len(seen) != 4 || seen[0] != Open || seen[1] != Open || seen[2] != HalfOpen || seen[3] != HalfOpen {
			t.Errorf("the subscriber saw %v", seen)
		}
	})
}

func TestHalfOpen28OperatorRacesAProbe(t *testing.T) {
	t.Run("in turn", func(t *testing.T) {
		for name, c := range map[string]struct {
			command func(*rig)
			want    State
		}{
			"open":  {func(r *rig) { r.Open("the operator") }, ForcedOpen},
			"close": {func(r *rig) { r.Close("the operator") }, Disabled},
			"reset": {func(r *rig) { r.Reset("the operator") }, Closed},
			"auto":  {func(r *rig) { r.Open("the operator"); r.Auto("the operator") }, Closed},
		} {
			t.Run(name, func(t *testing.T) {
				inBubble(t, func(r *rig) {
					r.halfOpen()
					ok, bad, silent := r.allow(unary{}), r.allow(unary{}), r.allow(unary{})
					c.command(r)
					r.Done(ok, Success, "")
					r.Done(bad, Failure, "UNAVAILABLE")
					pass(time.Hour)
					r.want(c.want)
					r.Done(silent, Success, "")
					if s := r.Status(); s.Totals.Late != 3 || s.Totals.ProbeTimeouts != 0 {
						t.Errorf("%d late and %d timed out, want 3 and 0", s.Totals.Late, s.Totals.ProbeTimeouts)
					}
				})
			})
		}
	})
	t.Run("at once", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for range 200 {
						if ticket, _, ok := r.Allow(time.Now(), stream{}); ok {
							r.Done(ticket, Failure, "UNAVAILABLE")
						}
						time.Sleep(time.Second)
					}
				})
			}
			all.Go(func() {
				for range 100 {
					r.Open("the operator")
					time.Sleep(time.Second)
					r.Reset("the operator")
					time.Sleep(time.Second)
				}
			})
			all.Wait()
			r.Reset("the operator")
			r.want(Closed)
			s := r.Status().Totals
			if s.Allowed != s.Successes+s.Failures+s.Excluded+s.Late {
				t.Errorf("the totals do not add up: %+v", s)
			}
		})
	})
}

func TestHalfOpen29RejectionsAreNoFailures(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.open()
		before := r.Status()
		for range 1000 {
			r.rejected()
		}
		after := r.Status()
		if after.Totals.Failures != before.Totals.Failures || after.Verdicts != before.Verdicts || after.LastError != before.LastError {
			t.Errorf("a thousand rejections made %+v of %+v", after, before)
		}
		if after.Totals.Rejected != 1000 {
			t.Errorf("%d rejected, want 1000", after.Totals.Rejected)
		}
	})
}

func TestHalfOpen30RejectionSaysWhenToRetry(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.open()
		pass(3 * time.Second)
		if got := r.rejected(); got != (Rejection{State: Open, RetryIn: 7 * time.Second}) {
			t.Errorf("open: %+v", got)
		}
		pass(7*time.Second + 1)
		r.allow(stream{})
		pass(time.Second)
		r.allow(stream{})
		r.allow(stream{})
		if got := r.rejected(); got != (Rejection{State: HalfOpen, RetryIn: time.Second}) {
			t.Errorf("half-open, with probes that have 4 s: %+v", got)
		}
		pass(3800 * time.Millisecond)
		if got := r.rejected(); got != (Rejection{State: HalfOpen, RetryIn: 200 * time.Millisecond}) {
			t.Errorf("half-open, with a probe that has 0.2 s: %+v", got)
		}
		r.Open("the operator")
		if got := r.rejected(); got != (Rejection{State: ForcedOpen}) {
			t.Errorf("forced open: %+v", got)
		}
	})
}
