package breaker

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
)

// What gobreaker does that a proxy cannot live with, or lives by. Where it is a
// trap the first half of the test shows it, so that a gobreaker that mends it
// is noticed, and the second that it is none here.

type bareBreaker = gobreaker.TwoStepCircuitBreaker[struct{}]

// bare is a gobreaker that opens after a failure.
func bare(edit func(*gobreaker.Settings)) *bareBreaker {
	s := gobreaker.Settings{
		MaxRequests: 3, Timeout: 10 * time.Second,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures > 0 },
		IsExcluded:  func(err error) bool { return errors.Is(err, errExcluded) },
	}
	edit(&s)
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](s)
}

func bareAllow(t *testing.T, b *bareBreaker) func(error) {
	t.Helper()
	done, err := b.Allow()
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func bareHalfOpen(t *testing.T, b *bareBreaker) {
	t.Helper()
	bareAllow(t, b)(errFailure)
	time.Sleep(10*time.Second + 1)
	if s := b.State(); s != gobreaker.StateHalfOpen {
		t.Fatalf("gobreaker is %s", s)
	}
}

func TestTrapUnfinishedProbeBlocksForEver(t *testing.T) {
	inBubble(t, func(r *rig) {
		b := bare(func(*gobreaker.Settings) {})
		bareHalfOpen(t, b)
		for range 3 {
			bareAllow(t, b)
		}
		time.Sleep(1000 * time.Hour)
		if _, err := b.Allow(); !errors.Is(err, gobreaker.ErrTooManyRequests) {
			t.Errorf("gobreaker: %v", err)
		}

		r.halfOpen()
		for range 3 {
			r.allow(nil)
		}
		pass(5 * time.Second)
		r.allow(nil)
	})
}

func TestTrapBudgetIsTotalAndOneFailureReopens(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.halfOpen()
		r.call(Success)
		r.call(Success)
		last := r.allow(unary{})
		r.rejected() // two have ended, and still there is room for one only
		r.Done(last, Failure, "UNAVAILABLE")
		r.want(Open)
	})
}

func TestTrapExcludedGivesThePlaceBack(t *testing.T) {
	inBubble(t, func(r *rig) {
		b := bare(func(*gobreaker.Settings) {})
		bareHalfOpen(t, b)
		r.halfOpen()
		for range 100 {
			bareAllow(t, b)(errExcluded)
			r.call(Excluded)
		}
		if s := b.State(); s != gobreaker.StateHalfOpen {
			t.Errorf("gobreaker is %s", s)
		}
		r.want(HalfOpen)
	})
}

func TestTrapOldVerdictsAreDroppedWithoutAWord(t *testing.T) {
	inBubble(t, func(r *rig) {
		old := r.allow(unary{})
		r.halfOpen()
		r.Done(old, Success, "")
		if late := r.Status().Totals.Late; late != 1 {
			t.Errorf("%d late verdicts, want 1", late)
		}
	})
}

func TestTrapDoneCountsEachTime(t *testing.T) {
	inBubble(t, func(r *rig) {
		b := bare(func(*gobreaker.Settings) {})
		bareHalfOpen(t, b)
		done := bareAllow(t, b)
		for range 3 {
			done(nil)
		}
		if s := b.State(); s != gobreaker.StateClosed {
			t.Errorf("gobreaker is %s", s)
		}

		r.halfOpen()
		ticket := r.allow(unary{})
		for range 3 {
			r.Done(ticket, Success, "")
		}
		r.want(HalfOpen)
	})
}

func TestTrapCallsThatOutliveTheWindowAreNotCounted(t *testing.T) {
	for name, period := range map[string]time.Duration{"fixed": 0, "rolling": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bare(func(s *gobreaker.Settings) { s.Interval, s.BucketPeriod = 10*time.Second, period })
				s := usual()
				s.Window, s.Consecutive, s.MinRequests = 10*time.Second, 0, 10
				r := newRig(t, s)
				var bares []func(error)
				var tickets []Ticket
				for range 10 {
					bares, tickets = append(bares, bareAllow(t, b)), append(tickets, r.allow(unary{}))
				}
				time.Sleep(15 * time.Second)
				for i := range bares {
					bares[i](errFailure)
					r.Done(tickets[i], Failure, "DEADLINE_EXCEEDED")
				}
				if s := b.State(); s != gobreaker.StateClosed {
					t.Errorf("gobreaker is %s", s)
				}
				r.want(Open)
			})
		})
	}
}

func TestTrapWindowForgetsFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bare(func(s *gobreaker.Settings) {
			s.Interval, s.BucketPeriod = 30*time.Second, 3*time.Second
			s.ReadyToTrip = func(c gobreaker.Counts) bool { return c.ConsecutiveFailures > 4 }
		})
		s := usual()
		s.Window = 30 * time.Second
		r := newRig(t, s)
		for range 5 {
			bareAllow(t, b)(errFailure)
			r.call(Failure)
			time.Sleep(19 * time.Second)
		}
		for range 45 {
			bareAllow(t, b)(errFailure)
			time.Sleep(19 * time.Second)
		}
		if s := b.State(); s != gobreaker.StateClosed {
			t.Errorf("gobreaker is %s after 50 failures in a row", s)
		}
		if n := r.Status().Totals.Openings; n != 1 {
			t.Errorf("%d openings after 5 failures in a row, want 1", n)
		}
	})
}

func TestTrapNoWindowIsAWindowForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bare(func(s *gobreaker.Settings) {
			s.Interval, s.BucketPeriod = 0, time.Second
			s.ReadyToTrip = func(gobreaker.Counts) bool { return false }
		})
		bareAllow(t, b)(errFailure)
		time.Sleep(1000 * time.Hour)
		b.State()
		if n := b.Counts().TotalFailures; n != 1 {
			t.Errorf("gobreaker has %d failures left after 1000 h", n)
		}

		s := usual()
		s.Window = 0
		if _, err := New(Options{Name: "users", Settings: s}); err == nil {
			t.Error("a breaker without a window was made")
		}
	})
}

func TestTrapTimersAreLazy(t *testing.T) {
	inBubble(t, func(r *rig) {
		changes := 0
		b := bare(func(s *gobreaker.Settings) {
			s.OnStateChange = func(string, gobreaker.State, gobreaker.State) { changes++ }
		})
		bareAllow(t, b)(errFailure)
		r.open()
		pass(time.Hour)
		if changes != 1 {
			t.Errorf("gobreaker told of %d changes", changes)
		}
		r.went(Open, HalfOpen)
	})
}

func TestTrapCountsAreStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bare(func(s *gobreaker.Settings) {
			s.Interval, s.BucketPeriod = 10*time.Second, time.Second
			s.ReadyToTrip = func(gobreaker.Counts) bool { return false }
		})
		s := usual()
		s.Window = 10 * time.Second
		r := newRig(t, s)
		bareAllow(t, b)(errFailure)
		r.call(Failure)
		time.Sleep(time.Minute)
		if n := b.Counts().TotalFailures; n != 1 {
			t.Errorf("gobreaker counts %d failures in a window that is over", n)
		}
		if n := r.Status().Failures; n != 0 {
			t.Errorf("%d failures in a window that is over", n)
		}
	})
}

// gobreaker calls back with its lock held: a subscriber that asked it anything
// would wait for itself. Here it is free to ask.
func TestTrapSubscriberIsCalledUnderTheLock(t *testing.T) {
	var b *bareBreaker
	asked := make(chan struct{})
	b = bare(func(s *gobreaker.Settings) {
		s.OnStateChange = func(string, gobreaker.State, gobreaker.State) {
			go func() {
				b.Counts()
				close(asked)
			}()
			select {
			case <-asked:
				t.Error("gobreaker answers while it calls back")
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	bareAllow(t, b)(errFailure)
	<-asked

	answered := 0
	var own *Breaker
	own, err := New(Options{Name: "users", Settings: usual(), OnEvent: func(Event) {
		own.Status()
		answered++
	}})
	if err != nil {
		t.Fatal(err)
	}
	own.Open("the operator")
	own.Stop()
	if answered != 1 {
		t.Errorf("the breaker answered %d times while it called back", answered)
	}
}

func TestTrapGoexitLeaksThePlace(t *testing.T) {
	inBubble(t, func(r *rig) {
		b := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{MaxRequests: 1, Timeout: 10 * time.Second,
			ReadyToTrip: func(gobreaker.Counts) bool { return true }})
		fail := func() (struct{}, error) { return struct{}{}, errFailure }
		if _, err := b.Execute(fail); !errors.Is(err, errFailure) {
			t.Fatal(err)
		}
		time.Sleep(10*time.Second + 1)
		var gone sync.WaitGroup
		gone.Go(func() {
			_, _ = b.Execute(func() (struct{}, error) { runtime.Goexit(); return struct{}{}, nil })
		})
		gone.Wait()
		if _, err := b.Execute(fail); !errors.Is(err, gobreaker.ErrTooManyRequests) {
			t.Errorf("gobreaker: %v", err)
		}

		r.halfOpen()
		for range 10 {
			gone.Go(func() {
				ticket := r.allow(nil)
				defer r.Done(ticket, Excluded, "")
				runtime.Goexit()
			})
			gone.Wait()
		}
		r.want(HalfOpen)
	})
}

func TestTrapTimeoutIsFixed(t *testing.T) {
	inBubble(t, func(r *rig) {
		b := bare(func(*gobreaker.Settings) {})
		bareHalfOpen(t, b)
		bareAllow(t, b)(errFailure)
		time.Sleep(10*time.Second + 1)
		if s := b.State(); s != gobreaker.StateHalfOpen {
			t.Errorf("gobreaker is %s", s)
		}

		r.halfOpen()
		for _, d := range []time.Duration{20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
			r.call(Failure)
			if got := r.Status().NextProbe; got != d {
				t.Errorf("open for %s, want %s", got, d)
			}
			pass(d + 1)
		}
		for range 3 {
			r.call(Success)
		}
		r.open()
		if got := r.Status().NextProbe; got != 10*time.Second {
			t.Errorf("open for %s after it was closed, want 10s", got)
		}
	})
}
