package relay_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/callevent"
	"loom/internal/loomtest"
	"loom/internal/route"
)

func withTimeout(t route.Timeout) func(*rigOptions) {
	return func(o *rigOptions) { o.rules[0].Timeout = t }
}

func took(t *testing.T, start time.Time, want time.Duration) {
	t.Helper()
	if d := time.Since(start); d < want || d > want+10*time.Millisecond {
		t.Errorf("took %v, want %v", d, want)
	}
}

// A call ends at the time-out of its route, or at the deadline of its caller if
// that is earlier; the answer says which it was.
func TestOverallTimeout(t *testing.T) {
	tests := []struct {
		name, timeout string
		sent          string // what the backend gets as grpc-timeout
		after         time.Duration
		reason        string
		ender         callevent.Ender
	}{
		{"no deadline", "", "2000000u", 2 * time.Second, "ROUTE_TIMEOUT", callevent.ByLoom},
		{"a later one", "10S", "2000000u", 2 * time.Second, "ROUTE_TIMEOUT", callevent.ByLoom},
		{"an earlier one", "1500m", "1500m", 1550 * time.Millisecond, "DEADLINE_EXCEEDED", callevent.ByDeadline},
		{"a garbled one", "soon", "2000000u", 2 * time.Second, "ROUTE_TIMEOUT", callevent.ByLoom},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
				start := time.Now()
				down := r.caller()
				kv := []string{"x-trace", "1"}
				if tt.timeout != "" {
					kv = append(kv, "grpc-timeout", tt.timeout)
				}
				id := down.Unary(method, []byte("question"), kv...)
				up := r.ups.Accept()
				upID, request := up.WantCall()
				if got := request.Values("grpc-timeout"); len(got) != 1 || got[0] != tt.sent {
					t.Errorf("the backend got grpc-timeout %q, want %s", got, tt.sent)
				}
				up.WantMessage(upID)
				up.WantEnd(upID)
				block := down.WantStatus(id, codes.DeadlineExceeded)
				took(t, start, tt.after)
				wantInfo(t, block, tt.reason)
				if named := strings.Contains(block.Get("grpc-message"), "timeout.overall"); named != (tt.reason == "ROUTE_TIMEOUT") {
					t.Errorf("message %q", block.Get("grpc-message"))
				}
				up.WantReset(upID, http2.ErrCodeCancel)
				r.settle()
				if s := r.observer.only(); s.Ender != tt.ender || s.Code != uint32(codes.DeadlineExceeded) {
					t.Errorf("summary %+v", s)
				}
				if got := k.got(); len(got) != 1 || !strings.HasPrefix(got[0], "failure: ") {
					t.Errorf("verdicts %q", got)
				}
			}, withTimeout(route.Timeout{Overall: 2 * time.Second}))
		})
	}
}

// Time that a call waits for a connection is the backend's no more.
func TestTimeoutCountsTheWaiting(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		proceed := make(chan struct{})
		r.dialer.SetDialHook(waitFor(proceed))
		down := r.caller()
		id := down.Unary(method, []byte("question"))
		time.Sleep(1500 * time.Millisecond)
		close(proceed)
		up := r.ups.Accept()
		_, request := up.WantCall()
		if got := request.Get("grpc-timeout"); got != "500000u" {
			t.Errorf("the backend got grpc-timeout %s", got)
		}
		down.WantStatus(id, codes.DeadlineExceeded)
	}, withTimeout(route.Timeout{Overall: 2 * time.Second}))
}

// A call that waits for a connection in vain is let go when its time is over.
func TestTimeoutWhileWaiting(t *testing.T) {
	for name, timeout := range map[string]route.Timeout{
		"ROUTE_TIMEOUT": {Overall: time.Second}, "PER_TRY_TIMEOUT": {PerTry: time.Second}, "IDLE_TIMEOUT": {Idle: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
				r.dialer.SetDialHook(neverDial)
				start := time.Now()
				down := r.caller()
				id := down.Unary(method, []byte("question"))
				wantInfo(t, down.WantStatus(id, codes.DeadlineExceeded), name)
				took(t, start, time.Second)
				if n := r.backend.Status().Waiting; n != 0 {
					t.Errorf("%d calls still wait", n)
				}
				if got := k.got(); len(got) != 1 || !strings.HasPrefix(got[0], "failure: ") {
					t.Errorf("verdicts %q", got)
				}
			}, withTimeout(timeout))
		})
	}
}

// per_try bounds the time until an answer begins, and nothing after that.
func TestPerTryTimeout(t *testing.T) {
	guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		start := time.Now()
		down := r.caller()
		id := down.Unary(method, []byte("question"), "grpc-timeout", "10S")
		up := r.ups.Accept()
		upID := wantQuestion(t, up)
		up.WantEnd(upID)
		block := down.WantStatus(id, codes.DeadlineExceeded)
		took(t, start, time.Second)
		wantInfo(t, block, "PER_TRY_TIMEOUT")
		up.WantReset(upID, http2.ErrCodeCancel)
		r.settle()
		k.want("failure: no answer began within timeout.per_try of route \"all\", 1s")
		wantCounter(t, "PerTryTimeouts", &r.calls.PerTryTimeouts, 1)

		id = down.Unary(method, []byte("question"))
		upID = wantQuestion(t, up)
		time.Sleep(900 * time.Millisecond)
		up.Headers(upID)
		down.WantHeaders(id)
		time.Sleep(time.Hour)
		up.Data(upID, []byte("answer"), false)
		up.Trailers(upID, codes.OK)
		down.WantStatus(id, codes.OK)
	}, withTimeout(route.Timeout{PerTry: time.Second}))
}

// A call on which nothing passes ends; one on which something does, either way,
// goes on. Whoever owes the next word is to blame.
func TestIdleTimeout(t *testing.T) {
	guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		down, id, up, upID := open(t, r)
		up.Headers(upID)
		down.WantHeaders(id)
		for range 5 {
			time.Sleep(900 * time.Millisecond)
			down.Data(id, []byte("more"), false)
			up.WantMessage(upID)
			time.Sleep(900 * time.Millisecond)
			up.Data(upID, []byte("news"), false)
			down.WantMessage(id)
		}
		start := time.Now()
		block := down.WantStatus(id, codes.DeadlineExceeded)
		took(t, start, time.Second)
		wantInfo(t, block, "IDLE_TIMEOUT")
		down.WantReset(id, http2.ErrCodeNo)
		up.WantReset(upID, http2.ErrCodeCancel)
		r.settle()
		k.want("excluded")
		wantCounter(t, "IdleTimeouts", &r.calls.IdleTimeouts, 1)

		id = down.Unary(method, []byte("question"))
		wantQuestion(t, up)
		down.WantStatus(id, codes.DeadlineExceeded)
		r.settle()
		k.want("excluded", "failure: nothing passed for timeout.idle of route \"all\", 1s")
	}, withTimeout(route.Timeout{Idle: time.Second}))
}

// A backend that keeps the route's time-out and is first has failed all the
// same, and the answer says whose time-out it was.
func TestBackendKeepsTheRoutesTimeout(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(up *loomtest.Upstream, id uint32)
		want   string
	}{
		"status": {func(up *loomtest.Upstream, id uint32) { up.TrailersOnly(id, codes.DeadlineExceeded) }, "failure: DeadlineExceeded"},
		"reset":  {func(up *loomtest.Upstream, id uint32) { up.Reset(id, http2.ErrCodeCancel) }, "failure: RST_STREAM CANCEL"},
		"in mid-answer": {func(up *loomtest.Upstream, id uint32) {
			up.Headers(id)
			up.Trailers(id, codes.DeadlineExceeded)
		}, "failure: DeadlineExceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
				down := r.caller()
				id := down.Unary(method, []byte("question"))
				up := r.ups.Accept()
				upID := wantQuestion(t, up)
				time.Sleep(49 * time.Millisecond)
				tt.answer(up, upID)
				wantInfo(t, down.WantStatus(id, codes.DeadlineExceeded), "ROUTE_TIMEOUT")
				r.settle()
				k.want(tt.want)
				wantCounter(t, "OverallTimeouts", &r.calls.OverallTimeouts, 1)
			}, withTimeout(route.Timeout{Overall: 50 * time.Millisecond}))
		})
	}
}

// Nothing is left to wake up for when a call with every bound has ended.
func TestTimeoutsOfCallsThatEnd(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller()
		up := (*loomtest.Upstream)(nil)
		for range 3 {
			id := down.Unary(method, []byte("question"))
			if up == nil {
				up = r.ups.Accept()
			}
			up.Reply(wantQuestion(t, up), []byte("answer"))
			wantReply(t, down, id, "answer")
		}
		time.Sleep(time.Minute)
		for _, s := range r.observer.all() {
			if s.Ender != callevent.ByBackend || s.Code != 0 {
				t.Errorf("summary %+v", s)
			}
		}
	}, withTimeout(route.Timeout{Overall: 3 * time.Second, PerTry: time.Second, Idle: 2 * time.Second}))
}
