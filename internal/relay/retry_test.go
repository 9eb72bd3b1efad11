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

// withRetry has UNAVAILABLE tried again twice, after 100 and 200 ms, give or
// take a fifth.
func withRetry(change ...func(*route.Retry)) func(*rigOptions) {
	p := &route.Retry{
		Attempts: 3, On: []uint32{uint32(codes.Unavailable)},
		Initial: 100 * time.Millisecond, Max: time.Second, BudgetPercent: 20,
	}
	for _, f := range change {
		f(p)
	}
	return func(o *rigOptions) { o.rules[0].Retry = p }
}

// fails answers a call with a status that is worth another try.
func fails(up *loomtest.Upstream, id uint32, kv ...string) {
	up.TrailersOnly(id, codes.Unavailable, kv...)
}

// wantWait demands that d is want, give or take a fifth.
func wantWait(t *testing.T, start time.Time, want time.Duration) {
	t.Helper()
	if d := time.Since(start); d < want*8/10 || d > want*12/10+time.Millisecond {
		t.Errorf("the next try came after %v, want %v give or take a fifth", d, want)
	}
}

// A call that fails is tried again, and its caller sees only the last answer.
func TestRetry(t *testing.T) {
	guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		down := r.caller()
		start := time.Now()
		id := down.Unary(method, []byte("question"), "grpc-timeout", "10S", "x-trace", "1")
		up := r.ups.Accept()
		upID, request := up.WantCall()
		if request.Get("grpc-previous-rpc-attempts") != "" || request.Get("grpc-timeout") != "10S" {
			t.Errorf("the first try has %v", request)
		}
		up.WantMessage(upID)
		fails(up, upID)

		upID, request = up.WantCall()
		wantWait(t, start, 100*time.Millisecond)
		if got := request.Get("grpc-previous-rpc-attempts"); got != "1" || request.Get("x-trace") != "1" {
			t.Errorf("the second try has %v", request)
		}
		if got := request.Get("grpc-timeout"); got < "9800000u" || got > "9920000u" {
			t.Errorf("the second try has grpc-timeout %s, some 9.9 s are left", got)
		}
		if msg := up.WantMessage(upID); string(msg) != "question" {
			t.Errorf("the second try has message %q", msg)
		}
		up.WantEnd(upID)
		start = time.Now()
		up.Reset(upID, http2.ErrCodeRefusedStream) // not processed: unseen, at once
		upID = wantQuestion(t, up)
		took(t, start, 0)
		fails(up, upID)
		upID, request = up.WantCall()
		wantWait(t, start, 200*time.Millisecond)
		if got := request.Get("grpc-previous-rpc-attempts"); got != "2" {
			t.Errorf("the third try has %v", request)
		}
		up.WantMessage(upID)
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
		r.settle()
		if s := r.observer.only(); s.Attempts != 4 || s.Code != 0 || s.Up.Messages != 1 || s.Down.Messages != 1 {
			t.Errorf("summary %+v", s)
		}
		k.want("failure: Unavailable", "failure: Unavailable", "success")
		wantCounter(t, "Retries", &r.calls.Retries, 2)
	}, withRetry())
}

// What is worth another try, and what is not.
func TestWhatIsRetried(t *testing.T) {
	tests := []struct {
		name  string
		fail  func(up *loomtest.Upstream, id uint32)
		again bool
		check func(t *testing.T, down *loomtest.Downstream, id uint32) // of the answer, if not
	}{
		{"trailers-only", func(up *loomtest.Upstream, id uint32) { fails(up, id) }, true, nil},
		{"connection lost", func(up *loomtest.Upstream, _ uint32) { up.Close() }, true, nil},
		{"http 503", func(up *loomtest.Upstream, id uint32) {
			up.HeaderBlock(id, true, loomtest.KV(":status", "503"))
		}, true, nil},
		{"another code", func(up *loomtest.Upstream, id uint32) {
			up.TrailersOnly(id, codes.ResourceExhausted, "grpc-message", "full")
		}, false, func(t *testing.T, down *loomtest.Downstream, id uint32) {
			if b := down.WantStatus(id, codes.ResourceExhausted); b.Get("grpc-message") != "full" {
				t.Errorf("answer %v", b)
			}
		}},
		{"after headers", func(up *loomtest.Upstream, id uint32) {
			up.Headers(id)
			up.Trailers(id, codes.Unavailable)
		}, false, func(t *testing.T, down *loomtest.Downstream, id uint32) { down.WantStatus(id, codes.Unavailable) }},
		{"reset", func(up *loomtest.Upstream, id uint32) { up.Reset(id, http2.ErrCodeInternal) }, false,
			func(_ *testing.T, down *loomtest.Downstream, id uint32) { down.WantReset(id, http2.ErrCodeInternal) }},
		{"pushback: never", func(up *loomtest.Upstream, id uint32) { fails(up, id, "grpc-retry-pushback-ms", "-1") }, false,
			func(t *testing.T, down *loomtest.Downstream, id uint32) {
				// The caller's own retries are none of loom's business: it hears the same.
				if b := down.WantStatus(id, codes.Unavailable); b.Get("grpc-retry-pushback-ms") != "-1" {
					t.Errorf("answer %v", b)
				}
			}},
		{"pushback: garbled", func(up *loomtest.Upstream, id uint32) { fails(up, id, "grpc-retry-pushback-ms", "1.5") }, false,
			func(t *testing.T, down *loomtest.Downstream, id uint32) { down.WantStatus(id, codes.Unavailable) }},
		{"pushback: twice", func(up *loomtest.Upstream, id uint32) {
			up.HeaderBlock(id, true, loomtest.KV(":status", "200", "content-type", "application/grpc", "grpc-status", "14",
				"grpc-retry-pushback-ms", "1", "grpc-retry-pushback-ms", "1"))
		}, false, func(t *testing.T, down *loomtest.Downstream, id uint32) { down.WantStatus(id, codes.Unavailable) }},
		{"pushback: nothing", func(up *loomtest.Upstream, id uint32) { fails(up, id, "grpc-retry-pushback-ms", "0") }, true, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) {
				down, id, up, upID := open(t, r)
				tt.fail(up, upID)
				if tt.again {
					if !up.Alive() || tt.name == "connection lost" {
						up = r.ups.Accept()
					}
					up.Reply(wantQuestion(t, up), []byte("answer"))
					wantReply(t, down, id, "answer")
					return
				}
				tt.check(t, down, id)
				time.Sleep(time.Minute)
				wantCounter(t, "Retries", &r.calls.Retries, 0)
			}, withRetry())
		})
	}
}

// A call is tried no more often than its route says; the last failure is the answer.
func TestRetriesEnd(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down, id, up, upID := open(t, r)
		down.RawData(id, nil, true)
		for range 2 {
			fails(up, upID)
			upID = wantQuestion(t, up)
		}
		fails(up, upID, "grpc-message", "the last")
		if b := down.WantStatus(id, codes.Unavailable); b.Get("grpc-message") != "the last" || b.Get("content-type") == "" {
			t.Errorf("answer %v", b)
		}
		r.settle()
		if s := r.observer.only(); s.Attempts != 3 {
			t.Errorf("summary %+v", s)
		}
	}, withRetry())
}

// The wait is as long as the backend says, and starts small again after that.
func TestPushbackIsObeyed(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		_, _, up, upID := open(t, r)
		start := time.Now()
		fails(up, upID)
		upID = wantQuestion(t, up)
		wantWait(t, start, 100*time.Millisecond)

		start = time.Now()
		fails(up, upID, "grpc-retry-pushback-ms", "3000")
		upID = wantQuestion(t, up)
		took(t, start, 3*time.Second)

		start = time.Now()
		fails(up, upID)
		wantQuestion(t, up)
		wantWait(t, start, 100*time.Millisecond)
	}, withRetry(func(p *route.Retry) { p.Attempts = 5 }))
}

// The waits double up to the longest.
func TestBackoffDoubles(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		_, _, up, upID := open(t, r)
		for _, want := range []int{100, 200, 400, 500, 500} {
			start := time.Now()
			fails(up, upID)
			upID = wantQuestion(t, up)
			wantWait(t, start, time.Duration(want)*time.Millisecond)
		}
	}, withRetry(func(p *route.Retry) { p.Attempts, p.Max = 10, 500*time.Millisecond }))
}

// What the caller sends while its call waits for the next try goes out with it,
// and its windows go on.
func TestRequestGrowsBetweenTries(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down, id, up, upID := open(t, r)
		fails(up, upID)
		synctest.Wait()
		for range 3 {
			down.Data(id, make([]byte, 10_000), false)
		}
		down.Data(id, []byte("end"), true)
		upID, _ = up.WantCall()
		if got := up.WantBytes(upID, 13+3*10_005+8); string(got[5:13]) != "question" || string(got[len(got)-3:]) != "end" {
			t.Errorf("the second try has a request of its own: %q", got[:13])
		}
		up.WantEnd(upID)
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
	}, withRetry())
}

// A request that is more than is kept is not tried again.
func TestLargeRequestIsNotRetried(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller()
		id := down.Unary(method, make([]byte, 5000))
		up := r.ups.Accept()
		upID, _ := up.WantCall()
		up.WantMessage(upID)
		fails(up, upID)
		down.WantStatus(id, codes.Unavailable)
		wantCounter(t, "Retries", &r.calls.Retries, 0)
	}, withRetry(), func(o *rigOptions) { o.keptRequest = 4096 })
}

// A caller that gives up between two tries ends the call.
func TestCancelBetweenTries(t *testing.T) {
	guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		down, id, up, upID := open(t, r)
		fails(up, upID)
		time.Sleep(time.Millisecond)
		down.Reset(id, http2.ErrCodeCancel)
		r.settle()
		up.WantReset(upID, http2.ErrCodeCancel) // the request had not ended
		up.WantNothing(time.Minute)
		k.want("failure: Unavailable")
	}, withRetry())
}

// There is no try for which no time is left, and none goes on beyond it.
func TestDeadlineEndsRetries(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller()
		id := down.Unary(method, []byte("question"), "grpc-timeout", "70m")
		up := r.ups.Accept()
		fails(up, wantQuestion(t, up), "grpc-message", "the first")
		if b := down.WantStatus(id, codes.Unavailable); b.Get("grpc-message") != "the first" {
			t.Errorf("answer %v", b)
		}
		id = down.Unary(method, []byte("question"), "grpc-timeout", "300m")
		fails(up, wantQuestion(t, up))
		wantQuestion(t, up)
		wantInfo(t, down.WantStatus(id, codes.DeadlineExceeded), "DEADLINE_EXCEEDED")
	}, withRetry())
}

// A try that takes longer than per_try is followed by another, whatever codes
// the route names.
func TestPerTryTimeoutIsRetried(t *testing.T) {
	guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		down := r.caller()
		id := down.Unary(method, []byte("question"))
		up := r.ups.Accept()
		var upID uint32
		for range 2 {
			upID = wantQuestion(t, up)
			up.WantEnd(upID)
			up.WantReset(upID, http2.ErrCodeCancel)
		}
		wantQuestion(t, up)
		wantInfo(t, down.WantStatus(id, codes.DeadlineExceeded), "PER_TRY_TIMEOUT")
		r.settle()
		if got := k.got(); len(got) != 3 {
			t.Errorf("verdicts %q", got)
		}
		// What a try still has to say after it was given up concerns nobody.
		up.Reply(upID, []byte("late"))
		id = down.Unary(method, []byte("question"))
		up.Reply(wantQuestion(t, up), []byte("answer"))
		wantReply(t, down, id, "answer")
	}, withRetry(), withTimeout(route.Timeout{PerTry: time.Second}))
}

// A further try goes to another endpoint, if there is one.
func TestRetryAvoidsTheEndpoint(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller()
		second := r.others["second"].ups
		first := r.ups.Accept
		var ups [2]*loomtest.Upstream
		// Both are connected to once calls have come.
		for range 4 {
			down.Reset(down.Unary(method, []byte("question")), http2.ErrCodeCancel)
		}
		ups[0], ups[1] = first(), second.Accept()
		synctest.Wait()
		for i := range 20 {
			id := down.Unary("/acme.v1.Things/Seen", []byte("question"))
			at, upID := nextSeen(t, ups)
			fails(ups[at], upID)
			at2, upID := nextSeen(t, ups)
			if at2 == at {
				t.Fatalf("call %d was tried twice at endpoint %d", i, at)
			}
			ups[at2].TrailersOnly(upID, codes.OK)
			down.WantStatus(id, codes.OK)
			time.Sleep(2 * time.Second) // for the budget
		}
	}, withRetry(), func(o *rigOptions) { o.targets = append(o.targets, "second") })
}

// nextSeen waits for a call to Seen at either endpoint, and says where it came.
func nextSeen(t *testing.T, ups [2]*loomtest.Upstream) (at int, id uint32) {
	t.Helper()
	for range 10_000 {
		for i, up := range ups {
			id, request, err := up.NextCall(time.Millisecond)
			if err == nil && request.Get(":path") == "/acme.v1.Things/Seen" {
				return i, id
			}
		}
	}
	t.Fatal("no call came")
	return 0, 0
}

// A backend that cannot be reached is tried again.
func TestRetryWithoutConnection(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		r.dialer.SetDialHook(func(context.Context) error { return errors.New("connection refused") })
		down := r.caller()
		id := down.Unary(method, []byte("question"))
		synctest.Wait()
		r.dialer.SetDialHook(nil)
		up := r.ups.Accept()
		upID, request := up.WantCall()
		// The second comes too soon if the backend's own back-off is longer.
		if got := request.Get("grpc-previous-rpc-attempts"); got != "1" && got != "2" {
			t.Errorf("previous attempts %q", got)
		}
		up.WantMessage(upID)
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
		r.settle()
		if s := r.observer.only(); s.Attempts != 1 {
			t.Errorf("summary %+v", s)
		}
	}, withRetry())
}

// No try goes to a backend whose breaker has opened, and none takes the place
// of another probe.
func TestNoRetryOntoAnOpenBreaker(t *testing.T) {
	guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		down, id, up, upID := open(t, r)
		k.reject(&relay.Rejection{RetryIn: time.Second})
		fails(up, upID, "grpc-message", "its own")
		if b := down.WantStatus(id, codes.Unavailable); b.Get("grpc-message") != "its own" {
			t.Errorf("answer %v", b)
		}

		// It opens while the call waits for its next try.
		k.reject(nil)
		id = down.Unary(method, []byte("question"))
		upID = wantQuestion(t, up)
		fails(up, upID)
		synctest.Wait()
		k.reject(&relay.Rejection{RetryIn: time.Second})
		wantInfo(t, down.WantStatus(id, codes.Unavailable), "BREAKER_OPEN")

		k.reject(nil)
		k.mu.Lock()
		k.probes = true
		k.mu.Unlock()
		id = down.Unary(method, []byte("question"))
		fails(up, wantQuestion(t, up), "grpc-message", "a probe's")
		if b := down.WantStatus(id, codes.Unavailable); b.Get("grpc-message") != "a probe's" {
			t.Errorf("answer %v", b)
		}
	}, withRetry())
}

// The caller may have tried before, too.
func TestPreviousAttemptsOfTheCaller(t *testing.T) {
	for own, want := range map[string]string{"2": "3", "x": "1"} {
		inMemory(t, func(t *testing.T, r *rig) {
			down := r.caller()
			down.Unary(method, []byte("question"), "grpc-previous-rpc-attempts", own)
			up := r.ups.Accept()
			upID, request := up.WantCall()
			if got := request.Get("grpc-previous-rpc-attempts"); got != own {
				t.Errorf("the first try says %q", got)
			}
			fails(up, upID)
			if _, request = up.WantCall(); request.Get("grpc-previous-rpc-attempts") != want {
				t.Errorf("the second try says %v", request)
			}
		}, withRetry())
	}
}

// Retries are at most the share of calls that the route grants, but a few are
// always left.
func TestRetryBudget(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller()
		up := r.ups
		var u *loomtest.Upstream
		failing := func(n int) {
			for range n {
				id := down.Unary(method, []byte("question"))
				if u == nil {
					u = up.Accept()
				}
				fails(u, wantQuestion(t, u))
				for {
					upID, _, err := u.NextCall(500 * time.Millisecond)
					if err != nil {
						break
					}
					fails(u, upID)
				}
				down.WantStatus(id, codes.Unavailable)
			}
		}
		failing(30)
		if n := r.calls.Retries.Load(); n < 10 || n > 30 {
			t.Errorf("%d retries of 30 calls in 15 s, want about 10 in 10 s", n)
		}
		if r.calls.RetriesOverBudget.Load() == 0 {
			t.Error("no retry was refused")
		}
	}, withRetry(func(p *route.Retry) { p.Attempts, p.Initial = 10, time.Millisecond }))
}
