package breaker

import (
	"fmt"
	"testing"
	"testing/synctest"
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

func TestEventsOfAStuckSubscriberAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		var told []Event
		b, err := New(Options{Name: "users", Settings: usual(), OnEvent: func(e Event) {
			<-stuck
			told = append(told, e)
		}})
		if err != nil {
			t.Fatal(err)
		}
		const changes = 1000
		for range changes / 2 {
			b.Open("the operator")
			b.Auto("the operator")
		}
		synctest.Wait()
		close(stuck)
		b.Stop()
		missed := uint64(0)
		for _, e := range told {
			missed += e.Missed
		}
		if len(told) > maxEvents+1 || uint64(len(told))+missed != changes {
			t.Errorf("%d events told and %d missed, of %d", len(told), missed, changes)
		}
		if last := told[len(told)-1]; last.To != Closed || last.From != ForcedOpen {
			t.Errorf("the last one told is %+v", last)
		}
	})
}

func TestStopWaitsForTheSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		b, err := New(Options{Name: "users", Settings: usual(), OnEvent: func(Event) {
			time.Sleep(time.Minute)
			told++
		}})
		if err != nil {
			t.Fatal(err)
		}
		b.Open("the operator")
		b.Auto("the operator")
		b.Stop()
		if told != 2 {
			t.Errorf("Stop returned after %d of 2 events", told)
		}
	})
}

func TestTripReasons(t *testing.T) {
	t.Run("in a row", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			r.open()
			synctest.Wait()
			if why := r.events[0].Reason; why != "5 failures in a row, the last: UNAVAILABLE" {
				t.Errorf("the reason is %q", why)
			}
		})
	})
	t.Run("share", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			for range 10 {
				r.call(Success)
				r.call(Failure)
			}
			r.want(Open)
			synctest.Wait()
			if why := r.events[0].Reason; why != "10 of 20 calls within 1m0s failed, the last: UNAVAILABLE" {
				t.Errorf("the reason is %q", why)
			}
		})
	})
	t.Run("probe", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			r.halfOpen()
			r.Done(r.allow(unary{}), Failure, "connection refused")
			synctest.Wait()
			if why := r.events[2].Reason; why != "a probe failed: connection refused" {
				t.Errorf("the reason is %q", why)
			}
		})
	})
}

func TestShareNeedsMinRequestsAndAFailureLast(t *testing.T) {
	inBubble(t, func(r *rig) {
		for i := range 19 {
			r.call([]Verdict{Success, Failure}[i%2])
		}
		r.want(Closed) // 9 of 19
		r.call(Excluded)
		r.want(Closed) // excluded ones are no requests
		pass(time.Minute)
		r.call(Failure)
		r.want(Closed) // those before are out of the window
		if s := r.Status(); s.Verdicts != 1 {
			t.Errorf("%d verdicts within the window, want 1", s.Verdicts)
		}
	})
}

func TestErrorsAreBounded(t *testing.T) {
	inBubble(t, func(r *rig) {
		long := make([]byte, 1<<20)
		for i := range long {
			long[i] = 0xff // no UTF-8 either
		}
		r.Done(r.allow(unary{}), Failure, "x"+string(long))
		if got := r.Status().LastError; got != "x" {
			t.Errorf("it remembers %d bytes", len(got))
		}
		r.Done(r.allow(unary{}), Failure, "")
		if got := r.Status().LastError; got != "reason unknown" {
			t.Errorf("it remembers %q", got)
		}
	})
}

func TestOpeningsSpreadByAFifthAndStayBelowTheMaximum(t *testing.T) {
	s := usual()
	for opening, seconds := range map[int]int{1: 10, 2: 20, 3: 40, 4: 60, 5: 60, 1 << 30: 60} {
		least, most := time.Hour, time.Duration(0)
		for i := range 1001 {
			d := s.openFor(opening, float64(i)/1000)
			least, most = min(least, d), max(most, d)
		}
		want := time.Duration(seconds) * time.Second
		highest := min(want*6/5, s.MaxOpenFor)
		if least < want*4/5-time.Millisecond || least > want*81/100 || most > highest || most < highest*99/100 {
			t.Errorf("opening %d lasts from %s to %s, want %s give or take a fifth", opening, least, most, want)
		}
	}
	longest := Settings{OpenFor: 1<<62 + 1, MaxOpenFor: 1<<63 - 1}
	for _, chance := range []float64{0, 0.5, 1} {
		if d := longest.openFor(3, chance); d <= 0 {
			t.Errorf("the longest of all openings lasts %s", d)
		}
	}
}

func TestSettingsThatAreUseless(t *testing.T) {
	for name, edit := range map[string]func(*Settings){
		"window":        func(s *Settings) { s.Window = 5 },
		"consecutive":   func(s *Settings) { s.Consecutive = -1 },
		"lasting":       func(s *Settings) { s.Lasting = -1 },
		"ratio":         func(s *Settings) { s.FailureRatio = 1.5 },
		"ratio NaN":     func(s *Settings) { s.FailureRatio = nan() },
		"open for":      func(s *Settings) { s.OpenFor = 0 },
		"max open for":  func(s *Settings) { s.MaxOpenFor = s.OpenFor - 1 },
		"no probes":     func(s *Settings) { s.Probes = 0 },
		"many probes":   func(s *Settings) { s.Probes = maxProbes + 1 },
		"probe timeout": func(s *Settings) { s.ProbeTimeout = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			s := usual()
			edit(&s)
			if _, err := New(Options{Name: "users", Settings: s}); err == nil {
				t.Error("a breaker was made of them")
			}
		})
	}
}

func nan() float64 {
	zero := 0.0
	return zero / zero
}

func TestEachSettingIsInTheHash(t *testing.T) {
	hashes := map[string]string{}
	add := func(what string, s Settings) {
		h := s.hash()
		if other, ok := hashes[h]; ok {
			t.Errorf("%s has the hash of %s", what, other)
		}
		hashes[h] = what
	}
	add("usual", usual())
	for i, edit := range []func(*Settings){
		func(s *Settings) { s.Window++ },
		func(s *Settings) { s.Consecutive++ },
		func(s *Settings) { s.Lasting++ },
		func(s *Settings) { s.FailureRatio += 1e-9 },
		func(s *Settings) { s.MinRequests++ },
		func(s *Settings) { s.OpenFor++ },
		func(s *Settings) { s.MaxOpenFor++ },
		func(s *Settings) { s.Probes++ },
		func(s *Settings) { s.ProbeTimeout++ },
	} {
		s := usual()
		edit(&s)
		add(fmt.Sprintf("change %d", i), s)
	}
}
