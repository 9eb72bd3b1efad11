package relay_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/loomtest"
	"loom/internal/relay"
)

// guarded runs a scenario in memory with a scripted breaker before "b", where
// callers must have waited 100 ms for their deadlines to count.
func guarded(t *testing.T, scenario func(t *testing.T, r *rig, k *scriptedBreaker), change ...func(*rigOptions)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := newScriptedBreaker(t)
		r := newRig(t, append([]func(*rigOptions){func(o *rigOptions) {
			o.breakers = map[string]relay.Breaker{"b": k}
			o.policies = map[string]relay.Policy{"b": {Failures: relay.DefaultPolicy().Failures, MinDeadline: 100 * time.Millisecond}}
		}}, change...)...)
		scenario(t, r, k)
	})
}

// What the end of an attempt says about the backend.
func TestVerdicts(t *testing.T) {
	tests := []struct {
		name string
		act  func(down *loomtest.Downstream, id uint32, up *loomtest.Upstream, upID uint32)
		want string
	}{
		{"ok", func(_ *loomtest.Downstream, _ uint32, up *loomtest.Upstream, id uint32) {
			up.Reply(id, []byte("answer"))
		}, "success"},
		{"trailers-only ok", func(_ *loomtest.Downstream, _ uint32, up *loomtest.Upstream, id uint32) {
			up.TrailersOnly(id, codes.OK)
		}, "success"},
		{"the request is wrong", func(_ *loomtest.Downstream, _ uint32, up *loomtest.Upstream, id uint32) {
			up.TrailersOnly(id, codes.NotFound)
		}, "success"},
		{"trailers-only", func(_ *loomtest.Downstream, _ uint32, up *loomtest.Upstream, id uint32) {
			up.TrailersOnly(id, codes.Unavailable, "grpc-message", "half%20way")
		}, "failure: Unavailable: half way"},
		{"trailers", func(_ *loomtest.Downstream, _ uint32, up *loomtest.Upstream, id uint32) {
			up.Headers(id)
			up.Data(id, []byte("answer"), false)
			up.Trailers(id, codes.DataLoss)
		}, "failure: DataLoss"},
		{"no status", func(_ *loomtest.Downstream, _ uint32, up *loomtest.Upstream, id uint32) {
			up.Headers(id)
			up.RawData(id, nil, true)
		}, "failure: Unknown: no grpc-status"},
		{"http status", func(_ *loomtest.Downstream, _ uint32, up *loomtest.Upstream, id uint32) {
			up.HeaderBlock(id, true, loomtest.KV(":status", "503"))
		}, "failure: Unavailable"},
		{"http status of the request", func(_ *loomtest.Downstream, _ uint32, up *loomtest.Upstream, id uint32) {
			up.HeaderBlock(id, true, loomtest.KV(":status", "404"))
		}, "success"},
		{"reset", func(_ *loomtest.Downstream, _ uint32, up *loomtest.Upstream, id uint32) {
			up.Reset(id, http2.ErrCodeCancel)
		}, "failure: RST_STREAM CANCEL"},
		{"reset after headers", func(_ *loomtest.Downstream, _ uint32, up *loomtest.Upstream, id uint32) {
			up.Headers(id)
			up.Reset(id, http2.ErrCodeInternal)
		}, "failure: RST_STREAM INTERNAL_ERROR"},
		{"breach", func(_ *loomtest.Downstream, _ uint32, up *loomtest.Upstream, id uint32) {
			up.Data(id, []byte("no headers"), false)
		}, "failure: the backend broke the protocol: DATA before HEADERS"},
		{"connection lost", func(_ *loomtest.Downstream, _ uint32, up *loomtest.Upstream, _ uint32) {
			up.Close()
		}, "failure: the connection to the backend was lost: the peer closed the connection"},
		{"deadline of the backend, too short", func(_ *loomtest.Downstream, _ uint32, up *loomtest.Upstream, id uint32) {
			up.TrailersOnly(id, codes.DeadlineExceeded)
		}, "excluded"},
		{"deadline of the backend", func(_ *loomtest.Downstream, _ uint32, up *loomtest.Upstream, id uint32) {
			time.Sleep(100 * time.Millisecond)
			up.TrailersOnly(id, codes.DeadlineExceeded)
		}, "failure: DeadlineExceeded"},
		{"cancel", func(down *loomtest.Downstream, id uint32, _ *loomtest.Upstream, _ uint32) {
			time.Sleep(time.Minute)
			down.Reset(id, http2.ErrCodeCancel)
		}, "excluded"},
		{"cancel after headers", func(down *loomtest.Downstream, id uint32, up *loomtest.Upstream, upID uint32) {
			up.Headers(upID)
			down.WantHeaders(id)
			down.Reset(id, http2.ErrCodeCancel)
		}, "excluded"},
		{"caller lost", func(down *loomtest.Downstream, _ uint32, _ *loomtest.Upstream, _ uint32) {
			down.Close()
		}, "excluded"},
		{"caller breaks the protocol", func(down *loomtest.Downstream, id uint32, _ *loomtest.Upstream, _ uint32) {
			down.WindowUpdate(id, 1<<31-1)
		}, "excluded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
				down, id, up, upID := open(t, r)
				tt.act(down, id, up, upID)
				r.settle()
				k.want(tt.want)
			})
		})
	}
}

// A deadline of the caller counts if the backend had long enough, whoever
// notices first that it has passed.
func TestVerdictOfDeadlines(t *testing.T) {
	const why = "failure: the deadline passed before the backend had answered"
	tests := []struct {
		name, timeout string
		cancels       bool // the caller does, as its deadline has come
		resets        bool // the backend does
		want          string
	}{
		{name: "short", timeout: "20m", want: "excluded: the deadline passed before the backend had answered"},
		{name: "long", timeout: "200m", want: why},
		{name: "short, the caller first", timeout: "20m", cancels: true, want: "excluded: the caller's deadline passed"},
		{name: "long, the caller first", timeout: "200m", cancels: true, want: "failure: the caller's deadline passed"},
		{name: "long, the backend first", timeout: "200m", resets: true, want: "failure: RST_STREAM CANCEL"},
		{name: "short, the backend first", timeout: "20m", resets: true, want: "excluded: RST_STREAM CANCEL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
				down := r.caller()
				id := down.Unary(method, []byte("question"), "grpc-timeout", tt.timeout)
				up := r.ups.Accept()
				upID := wantQuestion(t, up)
				time.Sleep(20 * time.Millisecond)
				if tt.timeout == "200m" {
					time.Sleep(180 * time.Millisecond)
				}
				switch {
				case tt.cancels:
					down.Reset(id, http2.ErrCodeCancel)
				case tt.resets:
					up.Reset(upID, http2.ErrCodeCancel)
				default:
					down.WantStatus(id, codes.DeadlineExceeded)
				}
				r.settle()
				k.want(tt.want)
			})
		})
	}
}

// The codes that count are those of the configuration. What is no status
// counts whatever they are.
func TestFailuresOfThePolicy(t *testing.T) {
	guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		down, id, up, upID := open(t, r)
		up.TrailersOnly(upID, codes.Unavailable)
		down.WantStatus(id, codes.Unavailable)
		id = down.Unary(method, []byte("question"))
		up.TrailersOnly(wantQuestion(t, up), codes.ResourceExhausted)
		down.WantStatus(id, codes.ResourceExhausted)
		id = down.Unary(method, []byte("question"), "grpc-timeout", "1S")
		wantQuestion(t, up)
		down.WantStatus(id, codes.DeadlineExceeded)
		down.Unary(method, []byte("question"))
		wantQuestion(t, up)
		up.Close()
		r.settle()
		if got := k.got(); len(got) != 4 || got[0] != "success" || got[1] != "failure: ResourceExhausted" ||
			got[2][:8] != "excluded" || got[3][:7] != "failure" {
			t.Errorf("verdicts %q", got)
		}
	}, func(o *rigOptions) {
		o.policies["b"] = relay.Policy{Failures: []codes.Code{codes.ResourceExhausted}}
	})
}

// A backend that cannot be reached has failed; one that may not be asked any
// more has not.
func TestVerdictWithoutConnection(t *testing.T) {
	guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		r.dial = func(context.Context) (net.Conn, error) { return nil, errors.New("connection refused") }
		down := r.caller()
		down.WantStatus(down.Unary(method, []byte("question")), codes.Unavailable)
		k.want(`failure: backend "b": connect to upstream: connection refused`)
	})
	guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		down := r.caller()
		wantInfo(t, down.WantStatus(down.Unary(method, []byte("question")), codes.Unavailable), "LIMIT_EXCEEDED")
		k.want("excluded")
	}, func(o *rigOptions) { o.pending = 0 })
	guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		if err := r.backend.DrainEndpoint("upstream"); err != nil {
			t.Fatal(err)
		}
		down := r.caller()
		wantInfo(t, down.WantStatus(down.Unary(method, []byte("question")), codes.Unavailable), "BACKEND_DRAINED")
		k.want("excluded")
	})
}

// A call that the backend certainly did not process, and that is sent again
// unseen, is one attempt to the breaker.
func TestOneVerdictForAnUnseenSecondTry(t *testing.T) {
	guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		down, id, up, upID := open(t, r)
		up.Reset(upID, http2.ErrCodeRefusedStream)
		second := wantQuestion(t, up)
		k.want()
		up.TrailersOnly(second, codes.OK)
		down.WantStatus(id, codes.OK)
		r.settle()
		k.want("success")
	})
}

// A probe has succeeded as soon as an answer begins. What goes wrong later is
// told apart.
func TestProbe(t *testing.T) {
	guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		k.probes = true
		down, id, up, upID := open(t, r)
		if k.unary() {
			t.Error("a request that may go on is said to be unary")
		}
		down.RawData(id, nil, true)
		up.WantEnd(upID)
		if !k.unary() {
			t.Error("a request of one message is not said to be unary")
		}
		k.want()
		up.Headers(upID)
		down.WantHeaders(id)
		k.want("success")
		up.Trailers(upID, codes.Unavailable)
		r.settle()
		k.want("success", "afterwards: Unavailable")

		// Trailers-Only, and HTTP of another kind, are no good beginning.
		id = down.Unary(method, []byte("question"))
		up.TrailersOnly(wantQuestion(t, up), codes.Unavailable)
		down.WantStatus(id, codes.Unavailable)
		r.settle()
		id = down.Unary(method, []byte("question"))
		upID = wantQuestion(t, up)
		up.HeaderBlock(upID, false, loomtest.KV(":status", "502"))
		down.WantHeaders(id)
		up.Reset(upID, http2.ErrCodeCancel)
		r.settle()
		k.want("success", "afterwards: Unavailable", "failure: Unavailable", "failure: RST_STREAM CANCEL")
	})
}

// Requests of no message or of several are not unary.
func TestStreamsAreNotUnary(t *testing.T) {
	guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		down := r.caller()
		for _, messages := range []int{0, 2} {
			id := down.Open(method)
			for range messages {
				down.Data(id, []byte("question"), false)
			}
			down.RawData(id, nil, true)
			synctest.Wait()
			if k.unary() {
				t.Errorf("a request of %d messages is said to be unary", messages)
			}
			down.Reset(id, http2.ErrCodeCancel)
		}
	})
}
