package relay_test

import (
	"encoding/base64"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"loom/internal/loomtest"
	"loom/internal/relay"
	"loom/internal/route"
)

// details are those of an answer of loom's own, as gRPC clients read them.
type details struct {
	info  *errdetails.ErrorInfo
	retry *errdetails.RetryInfo
}

func detailsOf(t *testing.T, block *loomtest.Block) details {
	t.Helper()
	raw, err := base64.RawStdEncoding.DecodeString(block.Get("grpc-status-details-bin"))
	if err != nil {
		t.Fatal(err)
	}
	var s spb.Status
	if err := proto.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	if got := strconv.Itoa(int(s.GetCode())); got != block.Get("grpc-status") {
		t.Errorf("the details say code %s, grpc-status %s", got, block.Get("grpc-status"))
	}
	var d details
	for _, m := range status.FromProto(&s).Details() {
		switch m := m.(type) {
		case *errdetails.ErrorInfo:
			d.info = m
		case *errdetails.RetryInfo:
			d.retry = m
		default:
			t.Errorf("unexpected detail %v", m)
		}
	}
	if d.info.GetDomain() != "loom" {
		t.Errorf("ErrorInfo %v", d.info)
	}
	return d
}

// wantInfo demands an ErrorInfo with the reason.
func wantInfo(t *testing.T, block *loomtest.Block, reason string) details {
	t.Helper()
	d := detailsOf(t, block)
	if d.info.GetReason() != reason {
		t.Errorf("reason %q, want %q", d.info.GetReason(), reason)
	}
	return d
}

// What a caller gets while the breaker rejects calls: one block, with what
// people, programs and gRPC's own retries look at.
func TestRejections(t *testing.T) {
	tests := []struct {
		name          string
		rejection     relay.Rejection
		timeout       string
		reason, state string
		retryIn       time.Duration // of RetryInfo; 0: there is none
		least, most   int           // of the pushback; -1: there is none to wait for; both 0: there is no pushback
	}{
		{"open", relay.Rejection{RetryIn: 1500 * time.Millisecond}, "", "BREAKER_OPEN", "open", 1500 * time.Millisecond, 1500, 2000},
		{"open for long", relay.Rejection{RetryIn: 10 * time.Second}, "", "BREAKER_OPEN", "open", 10 * time.Second, -1, -1},
		{"open beyond the deadline", relay.Rejection{RetryIn: time.Second}, "500m", "BREAKER_OPEN", "open", time.Second, -1, -1},
		{"open within the deadline", relay.Rejection{RetryIn: 300 * time.Millisecond}, "500m", "BREAKER_OPEN", "open", 300 * time.Millisecond, 300, 375},
		{"nearly over", relay.Rejection{RetryIn: time.Nanosecond}, "", "BREAKER_OPEN", "open", time.Nanosecond, 1, 1},
		{"half-open", relay.Rejection{HalfOpen: true, RetryIn: time.Second}, "", "BREAKER_HALF_OPEN", "half_open", time.Second, 1000, 1250},
		{"half-open, nobody knows", relay.Rejection{HalfOpen: true}, "", "BREAKER_HALF_OPEN", "half_open", 0, 0, 0},
		{"forced", relay.Rejection{Forced: true}, "", "BREAKER_OPEN", "forced_open", 0, -1, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
				k.reject(&tt.rejection)
				down := r.caller()
				var kv []string
				if tt.timeout != "" {
					kv = []string{"grpc-timeout", tt.timeout}
				}
				id := down.Unary(method, []byte("question"), kv...)
				block := down.WantStatus(id, codes.Unavailable)
				if !block.EndStream || block.Get(":status") != "200" || block.Get("content-type") != "application/grpc" {
					t.Errorf("not Trailers-Only: %v", block)
				}
				d := wantInfo(t, block, tt.reason)
				want := map[string]string{"route": "all", "backend": "b", "state": tt.state}
				for name, v := range want {
					if d.info.GetMetadata()[name] != v {
						t.Errorf("metadata %v, want %v", d.info.GetMetadata(), want)
					}
				}
				if got := d.retry.GetRetryDelay().AsDuration(); got != tt.retryIn || (d.retry != nil) != (tt.retryIn > 0) {
					t.Errorf("RetryInfo %v, want %v", d.retry, tt.retryIn)
				}
				wantPushback(t, block, tt.least, tt.most)
				r.settle()
				if s := r.observer.only(); s.Reason != tt.reason || s.Attempts != 0 || s.Backend != "b" {
					t.Errorf("summary %+v", s)
				}
				wantCounter(t, "BreakerRejections", &r.calls.BreakerRejections, 1)
				k.want()
			})
		})
	}
}

func wantPushback(t *testing.T, block *loomtest.Block, least, most int) {
	t.Helper()
	back := block.Get("grpc-retry-pushback-ms")
	if least == 0 && most == 0 {
		if back != "" {
			t.Errorf("pushback %s, want none", back)
		}
		return
	}
	if n, err := strconv.Atoi(back); err != nil || n < least || n > most {
		t.Errorf("pushback %q, want %d to %d", back, least, most)
	}
}

// Clients sleep for exactly as long as they are told, so they are not all told
// the same.
func TestPushbackIsSpread(t *testing.T) {
	guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		k.reject(&relay.Rejection{RetryIn: 1600 * time.Millisecond})
		down := r.caller()
		seen := make(map[string]bool)
		for range 20 {
			seen[down.WantStatus(down.Unary(method, []byte("question")), codes.Unavailable).Get("grpc-retry-pushback-ms")] = true
		}
		if len(seen) < 5 {
			t.Errorf("20 callers were told %v", seen)
		}
	})
}

// A caller that is still sending when it is rejected is told to stop.
func TestRejectedStreamIsEnded(t *testing.T) {
	guarded(t, func(t *testing.T, r *rig, k *scriptedBreaker) {
		k.reject(&relay.Rejection{RetryIn: time.Second})
		down := r.caller()
		id := down.Open(method)
		down.WantStatus(id, codes.Unavailable)
		down.WantReset(id, 0)
		k.reject(nil)
		id = down.Unary(method, []byte("question"))
		up := r.ups.Accept()
		up.Reply(wantQuestion(t, up), []byte("answer"))
		wantReply(t, down, id, "answer")
	})
}

// A route with several backends goes round those whose breakers are open, and
// if all are, says when the first of them may be back.
func TestWeightedRouteSkipsOpenBreakers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, other := newScriptedBreaker(t), newScriptedBreaker(t)
		r := newRig(t, func(o *rigOptions) {
			o.others = []string{"other", "spare"}
			o.breakers = map[string]relay.Breaker{"b": b, "other": other}
			o.rules[0].Backends = []route.Weighted{{Name: "b", Weight: 99}, {Name: "other", Weight: 1}, {Name: "spare", Weight: 0}}
		})
		down := r.caller()
		b.reject(&relay.Rejection{RetryIn: 2 * time.Second})
		first := down.Unary(method, []byte("question"))
		up := r.others["other"].ups.Accept()
		up.Reply(wantQuestion(t, up), []byte("answer"))
		wantReply(t, down, first, "answer")
		for range 20 {
			id := down.Unary(method, []byte("question"))
			up.Reply(wantQuestion(t, up), []byte("answer"))
			wantReply(t, down, id, "answer")
		}
		other.reject(&relay.Rejection{RetryIn: time.Second})
		block := down.WantStatus(down.Unary(method, []byte("question")), codes.Unavailable)
		d := wantInfo(t, block, "BREAKER_OPEN")
		if d.info.GetMetadata()["backend"] != "other" || d.retry.GetRetryDelay().AsDuration() != time.Second {
			t.Errorf("details %v %v", d.info, d.retry)
		}
		other.reject(&relay.Rejection{Forced: true})
		d = detailsOf(t, down.WantStatus(down.Unary(method, []byte("question")), codes.Unavailable))
		if d.info.GetMetadata()["backend"] != "b" || d.retry.GetRetryDelay().AsDuration() != 2*time.Second {
			t.Errorf("details %v %v", d.info, d.retry)
		}
	})
}
