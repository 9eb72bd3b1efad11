package breaker

import (
	"testing"
	"testing/synctest"
	"time"
)

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
