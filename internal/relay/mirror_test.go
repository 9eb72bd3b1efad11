package relay_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/loomtest"
	"loom/internal/relay"
	"loom/internal/route"
)

// mirrored runs a scenario where every call of "b" is copied to "copy", before
// which stands a scripted breaker.
func mirrored(t *testing.T, scenario func(t *testing.T, r *rig, k *scriptedBreaker), change ...func(*rigOptions)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := newScriptedBreaker(t)
		r := newRig(t, append([]func(*rigOptions){func(o *rigOptions) {
			o.others = []string{"copy"}
			o.breakers = map[string]relay.Breaker{"copy": k}
			o.rules[0].Mirror = &route.Mirror{Backend: "copy", Percent: 100}
		}}, change...)...)
		scenario(t, r, k)
		k.want() // copies never count
	})
}

func (r *rig) copies() *loomtest.Upstream { return r.others["copy"].ups.Accept() }

// wantMirrors compares how many copies went out and how many were dropped.
func wantMirrors(t *testing.T, r *rig, sent, dropped uint64) {
	t.Helper()
	synctest.Wait()
	wantCounter(t, "Mirrored", &r.calls.Mirrored, sent)
	wantCounter(t, "MirrorsDropped", &r.calls.MirrorsDropped, dropped)
}

// A copy has all that the call has, and its answer goes nowhere.
func TestMirror(t *testing.T) {
	mirrored(t, func(t *testing.T, r *rig, _ *scriptedBreaker) {
		down := r.caller()
		id := down.Open(method, "x-trace", "1")
		down.Data(id, []byte("question"), false)
		up, other := r.ups.Accept(), r.copies()
		upID, request := up.WantCall()
		copyID, copied := other.WantCall()
		want := loomtest.RequestFields(method, "x-trace", "1", "x-via", "loom")
		if got := request.Fields.String(); got != want.String() {
			t.Errorf("the backend got %s, want %s", got, want)
		}
		if copied.Get(":authority") != "copy.test" || copied.Get("x-trace") != "1" || copied.Get("x-via") != "loom" {
			t.Errorf("the copy has %v", copied)
		}
		other.TrailersOnly(copyID, codes.DataLoss) // before the request is complete
		other.WantMessage(copyID)
		other.WantReset(copyID, http2.ErrCodeCancel)
		up.WantMessage(upID)
		down.Data(id, []byte("more"), true)
		up.WantMessage(upID)
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")

		id = down.Unary(method, []byte("question"))
		copyID = wantQuestion(t, other)
		other.WantEnd(copyID)
		up.Reply(wantQuestion(t, up), []byte("answer"))
		wantReply(t, down, id, "answer")
		r.settle()
		other.Reply(copyID, []byte("another answer")) // long after the call
		wantMirrors(t, r, 2, 0)
		for _, s := range r.observer.all() {
			if s.Attempts != 1 || s.Backend != "b" || s.Code != 0 {
				t.Errorf("summary %+v", s)
			}
		}
	}, func(o *rigOptions) {
		o.rules[0].Request.Set = []route.Field{{Name: "x-via", Value: "loom"}}
		o.policies = map[string]relay.Policy{"copy": {Authority: "copy.test"}}
	})
}

// A copy that is not taken holds nobody up.
func TestMirrorThatIsStuck(t *testing.T) {
	mirrored(t, func(t *testing.T, r *rig, _ *scriptedBreaker) {
		down := r.caller()
		id := down.Open(method)
		up := r.ups.Accept()
		upID, _ := up.WantCall()
		other := r.others["copy"].ups.Accept(loomtest.Without(noWindows), loomtest.WithSettings(setting(http2.SettingInitialWindowSize, 0)))
		copyID, _ := other.WantCall()
		for range 10 {
			down.Data(id, make([]byte, 1000), false)
			up.WantMessage(upID)
		}
		other.WantReset(copyID, http2.ErrCodeCancel)
		wantMirrors(t, r, 1, 1)
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
	}, func(o *rigOptions) { o.keptRequest = 5000 })
}

// A copy waits for a connection for a while, with few others; beyond that it
// is dropped, and what waits is let go in the end.
func TestMirrorWithoutConnection(t *testing.T) {
	mirrored(t, func(t *testing.T, r *rig, _ *scriptedBreaker) {
		proceed := make(chan struct{})
		r.others["copy"].dialer.SetDialHook(waitFor(proceed))
		down := r.caller()
		up := (*loomtest.Upstream)(nil)
		for range 20 {
			id := down.Unary(method, []byte("question"))
			if up == nil {
				up = r.ups.Accept()
			}
			up.Reply(wantQuestion(t, up), []byte("answer"))
			wantReply(t, down, id, "answer")
		}
		wantMirrors(t, r, 0, 4)
		if n := r.others["copy"].backend.Status().Waiting; n != 16 {
			t.Errorf("%d copies wait, want 16", n)
		}
		time.Sleep(9 * time.Second)
		id := down.Unary(method, []byte("question"))
		up.Reply(wantQuestion(t, up), []byte("answer"))
		wantReply(t, down, id, "answer")
		time.Sleep(2 * time.Second)
		if n := r.others["copy"].backend.Status().Waiting; n != 0 {
			t.Errorf("%d copies wait for longer than 10 s", n)
		}
		wantMirrors(t, r, 0, 21)
		id = down.Unary(method, []byte("question"))
		close(proceed)
		other := r.copies()
		other.WantEnd(wantQuestion(t, other))
		up.Reply(wantQuestion(t, up), []byte("answer"))
		wantReply(t, down, id, "answer")
		wantMirrors(t, r, 1, 21)
	})
}

// A copy that cannot be sent, may not be sent, or has no call any more, is
// dropped.
func TestMirrorIsDropped(t *testing.T) {
	mirrored(t, func(t *testing.T, r *rig, _ *scriptedBreaker) {
		r.others["copy"].dialer.SetDialHook(func(context.Context) error { return errors.New("connection refused") })
		down, id, up, upID := open(t, r)
		wantMirrors(t, r, 0, 1)
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
	})
	mirrored(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		k.probes = true
		down, id, up, upID := open(t, r)
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
		wantMirrors(t, r, 0, 1)
	})
	mirrored(t, func(t *testing.T, r *rig, _ *scriptedBreaker) {
		down, id, _, _ := open(t, r)
		other := r.copies()
		copyID := wantQuestion(t, other)
		down.Reset(id, http2.ErrCodeCancel)
		other.WantReset(copyID, http2.ErrCodeCancel)
		wantMirrors(t, r, 1, 1)
	})
	mirrored(t, func(t *testing.T, r *rig, _ *scriptedBreaker) {
		down := r.caller()
		id := down.Unary(method, []byte("question"))
		up, other := r.ups.Accept(), r.others["copy"].ups.Accept(loomtest.Timeout(time.Minute))
		copyID := wantQuestion(t, other)
		other.WantEnd(copyID)
		up.Reply(wantQuestion(t, up), []byte("answer"))
		wantReply(t, down, id, "answer")
		start := time.Now()
		other.WantReset(copyID, http2.ErrCodeCancel) // it is never answered
		took(t, start, 10*time.Second)
		wantMirrors(t, r, 1, 1)
	})
	mirrored(t, func(t *testing.T, r *rig, _ *scriptedBreaker) {
		_, _, up, upID := open(t, r)
		other := r.copies()
		wantQuestion(t, other)
		other.Close() // the backend of the copies dies
		synctest.Wait()
		up.Reply(upID, []byte("answer"))
		wantMirrors(t, r, 1, 0)
	})
}

// Copies in flight are bounded.
func TestMirrorsAreBounded(t *testing.T) {
	mirrored(t, func(t *testing.T, r *rig, _ *scriptedBreaker) {
		down := r.caller()
		var other *loomtest.Upstream
		for i := range 260 {
			id := down.Unary(method, []byte("question"))
			if i == 0 {
				r.ups.Accept()
				other = r.copies()
			}
			if i < 256 {
				wantQuestion(t, other)
			}
			down.Reset(id, http2.ErrCodeCancel)
			synctest.Wait()
		}
		wantMirrors(t, r, 256, 4)
	})
}

// As many calls are copied as the route says.
func TestMirrorPercent(t *testing.T) {
	mirrored(t, func(t *testing.T, r *rig, _ *scriptedBreaker) {
		down := r.caller()
		up := (*loomtest.Upstream)(nil)
		for range 400 {
			id := down.Unary(method, []byte("question"))
			if up == nil {
				up = r.ups.Accept()
			}
			up.Reply(wantQuestion(t, up), []byte("answer"))
			wantReply(t, down, id, "answer")
			time.Sleep(time.Second)
		}
		synctest.Wait()
		// Half a percent is at most 20 of 400 but once in some 10^12 runs.
		if n := r.calls.Mirrored.Load() + r.calls.MirrorsDropped.Load(); n > 20 {
			t.Errorf("%d of 400 calls were copied, want about 2", n)
		}
	}, func(o *rigOptions) { o.rules[0].Mirror.Percent = 0.5 })
}

// A call that is tried again is copied once.
func TestRetriedCallIsMirroredOnce(t *testing.T) {
	mirrored(t, func(t *testing.T, r *rig, _ *scriptedBreaker) {
		down := r.caller()
		id := down.Unary(method, []byte("question"))
		up, other := r.ups.Accept(), r.copies()
		fails(up, wantQuestion(t, up))
		up.Reply(wantQuestion(t, up), []byte("answer"))
		wantReply(t, down, id, "answer")
		other.Reply(wantQuestion(t, other), []byte("answer"))
		wantMirrors(t, r, 1, 0)
	}, withRetry())
}
