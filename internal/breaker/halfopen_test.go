package breaker

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The half-open cases, by the numbers that they have in the list of them. Those
// that need calls, backends or processes are tested to the end in
// internal/server and test/breaker, and here as far as the breaker goes.

func TestHalfOpen01ThousandAtExpiryExactlyProbesAdmitted(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.open()
		var allowed, refused atomic.Int64
		var calls sync.WaitGroup
		for range 1000 {
			calls.Go(func() {
				time.Sleep(10*time.Second + 1)
				_, rejection, ok := r.Allow(time.Now(), unary{})
				switch {
				case ok:
					allowed.Add(1)
				case rejection.State == HalfOpen && rejection.RetryIn == time.Second:
					refused.Add(1)
				default:
					t.Errorf("rejected with %+v", rejection)
				}
			})
		}
		calls.Wait()
		if allowed.Load() != 3 || refused.Load() != 997 {
			t.Errorf("%d allowed and %d refused, want 3 and 997", allowed.Load(), refused.Load())
		}
	})
}

func TestHalfOpen02ProbeNeverEndsSlotFreedAndLateOKIgnored(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.halfOpen()
		silent := []Ticket{r.allow(stream{}), r.allow(stream{}), r.allow(stream{})}
		r.rejected()
		pass(5 * time.Second)
		r.want(HalfOpen)
		fresh := r.allow(unary{}) // in a place that was freed
		for _, s := range silent {
			r.Done(s, Success, "")
		}
		r.want(HalfOpen) // three late successes are none
		if late := r.Status().Totals.Late; late != 3 {
			t.Errorf("%d late verdicts, want 3", late)
		}
		r.Done(fresh, Success, "")
		r.call(Success)
		r.call(Success)
		r.want(Closed)
	})
}

func TestHalfOpen03ProbeDeadlineReopensForLonger(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.halfOpen()
		r.allow(unary{})
		pass(5*time.Second - 1)
		r.want(HalfOpen)
		pass(1)
		r.want(Open)
		if s := r.Status(); s.NextProbe != 20*time.Second || s.Totals.ProbeTimeouts != 1 || s.LastError != "no answer within 5s" {
			t.Errorf("after the probe's time limit: %+v", s)
		}
		pass(20 * time.Second)
		r.want(Open)
		pass(1)
		r.want(HalfOpen)
	})
}

func TestHalfOpen04HundredProbesCancelledByClientStillHalfOpen(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.halfOpen()
		for range 100 {
			r.call(Excluded)
		}
		r.want(HalfOpen)
		if n := r.Status().Probing; n != 0 {
			t.Errorf("%d places are taken after all were cancelled", n)
		}
		for range 3 {
			r.call(Success)
		}
		r.want(Closed)
	})
}

func TestHalfOpen05ProbeThatPanicsOrExitsHasItsVerdict(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.halfOpen()
		for _, end := range []func(){func() { panic("handler") }, runtime.Goexit} {
			for range 10 { // more than there are places
				var calls sync.WaitGroup
				calls.Go(func() {
					defer func() { _ = recover() }()
					ticket := r.allow(stream{})
					defer r.Done(ticket, Excluded, "")
					end()
				})
				calls.Wait()
			}
		}
		r.want(HalfOpen)
		if s := r.Status(); s.Probing != 0 || s.Totals.Excluded != 20 {
			t.Errorf("%d places taken and %d excluded, want 0 and 20", s.Probing, s.Totals.Excluded)
		}
	})
}

func TestHalfOpen06DoneThreeTimesCountsOnce(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.halfOpen()
		probe := r.allow(unary{})
		for range 3 {
			r.Done(probe, Success, "")
		}
		r.want(HalfOpen)
		r.call(Success) // uses the memory of the first
		r.Done(probe, Failure, "")
		r.want(HalfOpen)
		r.call(Success)
		r.want(Closed)
		if n := r.Status().Totals.Successes; n != 3 {
			t.Errorf("%d successes, want 3", n)
		}
	})
}

func TestHalfOpen07LateSuccessFromClosedIsCountedAndMovesNothing(t *testing.T) {
	inBubble(t, func(r *rig) {
		var early []Ticket
		for range 6 {
			early = append(early, r.allow(unary{}))
		}
		r.open()
		for _, e := range early[:3] {
			r.Done(e, Success, "")
		}
		r.want(Open)
		pass(10*time.Second + 1)
		for _, e := range early[3:] {
			r.Done(e, Success, "")
		}
		r.want(HalfOpen)
		if s := r.Status(); s.Totals.Late != 6 || s.Totals.Successes != 0 {
			t.Errorf("late %d, successes %d, want 6 and 0", s.Totals.Late, s.Totals.Successes)
		}
	})
}

func TestHalfOpen08LateFailureFromClosedDoesNotReopen(t *testing.T) {
	inBubble(t, func(r *rig) {
		early := r.allow(unary{})
		r.halfOpen()
		probe := r.allow(unary{})
		r.Done(early, Failure, "UNAVAILABLE")
		r.want(HalfOpen)
		r.Done(probe, Success, "")
		r.call(Success)
		r.call(Success)
		r.want(Closed)
		if late := r.Status().Totals.Late; late != 1 {
			t.Errorf("%d late verdicts, want 1", late)
		}
	})
}

func TestHalfOpen09StreamsInFlightWhenItOpensAreNotItsBusiness(t *testing.T) {
	inBubble(t, func(r *rig) {
		asked := make(chan struct{}, 1)
		running := r.allow(asking(asked))
		r.open()
		pass(time.Hour) // half-open for most of it, without a probe
		r.want(HalfOpen)
		if len(asked) != 0 {
			t.Error("a call that was there before it opened was judged as a probe")
		}
		r.Done(running, Success, "")
		r.want(HalfOpen)
	})
}

// asking tells when it is asked.
type asking chan struct{}

func (a asking) Unary() bool { a <- struct{}{}; return true }

func TestHalfOpen10LongStreamClosesAtHeadersAndLaterResetReopensNothing(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.halfOpen()
		long := r.allow(stream{})
		if !long.Probe {
			t.Fatal("the caller is not told that it is a probe")
		}
		r.Done(long, Success, "") // at its headers
		r.Failed("reset by the backend")
		r.want(HalfOpen)
		r.call(Success)
		r.call(Success)
		r.want(Closed)
		for range 4 {
			r.Failed("reset by the backend")
		}
		r.want(Closed)
		r.Failed("reset by the backend") // once closed it counts, as any failure
		r.want(Open)
		if s := r.Status(); s.Totals.Afterwards != 5 || s.Totals.Late != 1 {
			t.Errorf("%d failures afterwards and %d late, want 5 and 1", s.Totals.Afterwards, s.Totals.Late)
		}
	})
}

func TestHalfOpen11SilentBidiProbeIsExcludedAndNotTouched(t *testing.T) {
	for name, p := range map[string]Prober{"stream": stream{}, "not known": nil} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.halfOpen()
				for range 10 { // each in a place that the one before lost
					r.allow(p)
					pass(5 * time.Second)
					r.want(HalfOpen)
				}
				if s := r.Status(); s.Totals.ProbeTimeouts != 10 || s.Totals.Excluded != 10 || s.Totals.Failures != 5 || s.Probing != 0 {
					t.Errorf("after ten silent probes: %+v", s)
				}
			})
		})
	}
}

func TestHalfOpen12SuccessesThenFailureOpenWithFullBudgetNextTime(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.halfOpen()
		r.call(Success)
		r.call(Success)
		r.call(Failure)
		r.want(Open)
		if d := r.Status().NextProbe; d != 20*time.Second {
			t.Errorf("the second opening lasts %s, want 20s", d)
		}
		pass(20*time.Second + 1)
		for range 3 {
			r.allow(unary{})
		}
		r.rejected()
	})
}

func TestHalfOpen13OpenAtTheInstantOfExpiryHalfOpenAfter(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.open()
		pass(10*time.Second - 1)
		if in := r.rejected().RetryIn; in != 1 {
			t.Errorf("a nanosecond before, the rejection says %s", in)
		}
		pass(1)
		r.want(Open)
		if got := r.rejected(); got.State != Open || got.RetryIn != 1 {
			t.Errorf("at the instant, the rejection is %+v", got)
		}
		pass(1)
		r.want(HalfOpen)
		r.allow(unary{})
	})
}

// On real time, because that of a bubble has a wall clock only.
func TestHalfOpen14WallClockMovedChangesNothing(t *testing.T) {
	r := newRig(t, usual())
	r.open()
	restored := newRig(t, usual())
	if err := restored.Restore(r.Snapshot(), 0); err != nil {
		t.Fatal(err)
	}
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		for name, b := range map[string]*rig{"as it was": r, "restored": restored} {
			_, rejection, ok := b.Allow(movedWall(time.Now(), by), unary{})
			if ok || rejection.RetryIn <= 0 || rejection.RetryIn > 10*time.Second {
				t.Errorf("%s, with the clock moved by %s: allowed %v, %+v", name, by, ok, rejection)
			}
		}
	}
}

func TestHalfOpen15CallsSlowerThanTheWindowTripAndSoDoesASlowTrickle(t *testing.T) {
	t.Run("slower than the window", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			s := usual()
			s.Consecutive = 0 // by their share alone
			if err := r.Apply(s); err != nil {
				t.Fatal(err)
			}
			var slow []Ticket
			for range 20 {
				slow = append(slow, r.allow(unary{}))
			}
			pass(10 * time.Minute)
			for _, ticket := range slow {
				r.Done(ticket, Failure, "DEADLINE_EXCEEDED")
			}
			r.want(Open)
		})
	})
	t.Run("19 s apart in a window of 3 s", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := usual()
			s.Window = 3 * time.Second
			r := newRig(t, s)
			for range 4 {
				r.call(Failure)
				pass(19 * time.Second)
			}
			r.want(Closed)
			r.call(Failure)
			r.want(Open)
		})
	})
}

func TestHalfOpen16IdleAfterExpiryTurnsHalfOpenWithoutTraffic(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.open()
		pass(10*time.Second + 1)
		r.went(Open, HalfOpen) // told before anybody asked
		if s := r.Status(); s.State != HalfOpen || s.NextProbe != 0 || s.Since != time.Now() {
			t.Errorf("status: %+v", s)
		}
	})
}

func TestHalfOpen17SameSettingsAppliedKeepProbesCounted(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.halfOpen()
		r.call(Success)
		running := r.allow(unary{})
		if err := r.Apply(usual()); err != nil {
			t.Fatal(err)
		}
		r.allow(unary{})
		r.rejected()
		r.Done(running, Failure, "UNAVAILABLE")
		r.want(Open)
	})
}

func TestHalfOpen18SettingsChanged(t *testing.T) {
	change := func(r *rig, edit func(*Settings)) {
		s := usual()
		edit(&s)
		if err := r.Apply(s); err != nil {
			r.t.Fatal(err)
		}
	}
	t.Run("probes 3 to 1 with two in flight", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			r.halfOpen()
			a, b := r.allow(unary{}), r.allow(unary{})
			change(r, func(s *Settings) { s.Probes = 1 })
			r.Done(a, Success, "")
			r.Done(b, Success, "")
			r.want(HalfOpen) // this spell began with three
			r.call(Failure)
			pass(20*time.Second + 1)
			r.allow(unary{})
			r.rejected() // the next has one
		})
	})
	t.Run("shorter open_for", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			r.open()
			pass(time.Second)
			change(r, func(s *Settings) { s.OpenFor = 3 * time.Second })
			if d := r.Status().NextProbe; d != 2*time.Second {
				t.Errorf("it stays open for %s, want 2s", d)
			}
			change(r, func(s *Settings) { s.OpenFor = time.Millisecond })
			pass(2)
			r.want(HalfOpen)
		})
	})
	t.Run("longer open_for lets this opening be", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			r.open()
			change(r, func(s *Settings) { s.OpenFor = 30 * time.Second })
			pass(10*time.Second + 1)
			r.want(HalfOpen)
		})
	})
	t.Run("window resized", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			for range 4 {
				r.call(Failure)
			}
			change(r, func(s *Settings) { s.Window = 10 * time.Second })
			if s := r.Status(); s.Verdicts != 0 || s.Consecutive != 4 {
				t.Errorf("%d verdicts and %d in a row, want 0 and 4", s.Verdicts, s.Consecutive)
			}
			r.call(Failure)
			r.want(Open)
		})
	})
	t.Run("wrong ones change nothing", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			if err := r.Apply(Settings{}); err == nil {
				t.Fatal("empty settings were taken")
			}
			r.open()
		})
	})
}

func TestHalfOpen19BackendRemovedAndAddedAgainWithProbeInFlight(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.halfOpen()
		probe := r.allow(unary{})
		r.Stop()
		again := newRig(r.t, usual())
		r.Done(probe, Failure, "UNAVAILABLE")
		pass(time.Hour)
		again.went()
		again.want(Closed)
		r.went(Open, HalfOpen) // and nothing since
		if s := r.Status(); s.State != HalfOpen || s.Totals.ProbeTimeouts != 0 || s.Totals.Late != 1 {
			t.Errorf("a removed breaker goes on: %+v", s)
		}
	})
}
