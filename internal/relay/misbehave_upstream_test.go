package relay_test

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/callevent"
	"loom/internal/loomtest"
)

// point is how far the answer of a call has come.
type point int

const (
	beforeHeaders point = iota
	afterHeaders
	afterMessage
	afterTrailers // the request is still open
)

var points = map[point]string{
	beforeHeaders: "before headers", afterHeaders: "after headers",
	afterMessage: "after a message", afterTrailers: "after trailers",
}

// answerUpTo has up answer the call as far as p.
func answerUpTo(up *loomtest.Upstream, id uint32, p point) {
	if p >= afterHeaders {
		up.Headers(id)
	}
	if p >= afterMessage {
		up.Data(id, []byte("part"), false)
	}
	if p >= afterTrailers {
		up.Trailers(id, codes.OK)
	}
}

// wantUpTo has down see what answerUpTo sent.
func wantUpTo(t *testing.T, down *loomtest.Downstream, id uint32, p point) {
	t.Helper()
	if p >= afterHeaders {
		down.WantHeaders(id)
	}
	if p >= afterMessage {
		if msg := down.WantMessage(id); string(msg) != "part" {
			t.Fatalf("downstream got message %q", msg)
		}
	}
	if p >= afterTrailers {
		down.WantTrailers(id)
	}
}

// wantLost waits for the end of a call whose backend was lost while the
// request is open: trailers with UNAVAILABLE, then RST_STREAM(NO_ERROR).
func wantLost(t *testing.T, down *loomtest.Downstream, id uint32) {
	t.Helper()
	if tr := down.WantTrailers(id); tr.Get("grpc-status") != "14" || tr.Get("grpc-status-details-bin") == "" {
		t.Fatalf("trailers of a lost call: %v", tr)
	}
	down.WantReset(id, http2.ErrCodeNo)
}

func TestGoAwayThatCoversTheCall(t *testing.T) {
	for p, name := range points {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, r *rig) {
				down, id, up, upID := open(t, r)
				answerUpTo(up, upID, p)
				wantUpTo(t, down, id, p)
				up.GoAway(upID, http2.ErrCodeNo, "restarting")

				// The next call goes elsewhere; this one is not touched.
				second := down.Unary(method, []byte("question"))
				other := r.ups.Accept()
				otherID := wantQuestion(t, other)
				other.Reply(otherID, []byte("answer"))
				wantReply(t, down, second, "answer")

				down.Data(id, []byte("more"), true)
				if p == afterTrailers {
					// Nobody waits for the rest; that it is taken is all there is to see.
					up.WantMessage(upID)
					up.WantEnd(upID)
				} else {
					if msg := up.WantMessage(upID); string(msg) != "more" {
						t.Fatalf("upstream got message %q", msg)
					}
					up.WantEnd(upID)
					if p == beforeHeaders {
						up.Headers(upID)
						down.WantHeaders(id)
					}
					up.Trailers(upID, codes.OK)
					down.WantTrailers(id)
				}
				up.WantClosed()
			})
		})
	}
}

func TestGoAwayBelowTheCall(t *testing.T) {
	for p, name := range points {
		for _, code := range []http2.ErrCode{http2.ErrCodeNo, http2.ErrCodeEnhanceYourCalm} {
			t.Run(fmt.Sprint(name, " ", code), func(t *testing.T) {
				everywhere(t, func(t *testing.T, r *rig) {
					down, id, up, upID := open(t, r)
					answerUpTo(up, upID, p)
					wantUpTo(t, down, id, p)
					up.GoAway(0, code, "")
					switch p {
					case beforeHeaders:
						wantSecondTry(t, r, down, id)
					case afterTrailers:
						down.WantReset(id, http2.ErrCodeNo)
					default:
						wantLost(t, down, id)
					}
					up.WantClosed()
					down.WantNothing(time.Millisecond)
				})
			})
		}
	}
}

// wantSecondTry waits for the call of open to come once more on a fresh
// connection, and plays it to its end.
func wantSecondTry(t *testing.T, r *rig, down *loomtest.Downstream, id uint32) {
	t.Helper()
	up := r.ups.Accept()
	upID, request := up.WantCall()
	if len(request.Values("grpc-previous-rpc-attempts")) != 0 {
		t.Fatalf("the second try shows: %v", request)
	}
	if msg := up.WantMessage(upID); string(msg) != "question" {
		t.Fatalf("the second try brought message %q", msg)
	}
	down.Data(id, []byte("more"), true)
	if msg := up.WantMessage(upID); string(msg) != "more" {
		t.Fatalf("after the second try came message %q", msg)
	}
	up.WantEnd(upID)
	up.Reply(upID, []byte("answer"))
	wantReply(t, down, id, "answer")
	r.settle()
	if s := r.observer.only(); s.Attempts != 2 || s.Ender != callevent.ByBackend || s.Up.Bytes != 13+9 {
		t.Fatalf("summary %+v", s)
	}
}

// A call is sent twice at most.
func TestSecondTryIsTheLast(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		down, id, up, _ := open(t, r)
		up.GoAway(0, http2.ErrCodeNo, "")
		second := r.ups.Accept()
		wantQuestion(t, second)
		second.GoAway(0, http2.ErrCodeNo, "")
		wantLost(t, down, id)
		r.ups.WantNone(20 * time.Millisecond)
	})
}

// What is more than may be kept is not sent twice.
func TestNoSecondTryOfALongRequest(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		down, id, up, upID := open(t, r)
		if err := down.Send(id, make([]byte, 64<<10), false); err != nil {
			t.Fatal(err)
		}
		up.WantBytes(upID, 64<<10)
		up.GoAway(0, http2.ErrCodeNo, "")
		wantLost(t, down, id)
		r.ups.WantNone(20 * time.Millisecond)
	})
}

// A connection that is lost before anything was written on it did not process
// the call either; one that had the request may have.
func TestConnectionLostBeforeAnswer(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		down, id, up, _ := open(t, r)
		up.Cut()
		wantLost(t, down, id)
		r.ups.WantNone(20 * time.Millisecond)
		r.settle()
		if s := r.observer.only(); s.Ender != callevent.ByBackendLost || s.Attempts != 1 {
			t.Fatalf("summary %+v", s)
		}
	})
}

func TestBackendResetsTheCall(t *testing.T) {
	cs := []http2.ErrCode{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0x4242}
	for _, code := range cs {
		for p, name := range points {
			if p == beforeHeaders && code == http2.ErrCodeRefusedStream {
				continue // see TestBackendRefusesTheStream
			}
			t.Run(fmt.Sprint(name, " ", code), func(t *testing.T) {
				inMemory(t, func(t *testing.T, r *rig) {
					down, id, up, upID := open(t, r)
					answerUpTo(up, upID, p)
					up.Reset(upID, code)
					wantUpTo(t, down, id, p)
					down.WantReset(id, code)
					r.settle()
					want := callevent.ByBackendReset
					if p == afterTrailers {
						want = callevent.ByBackend
					}
					if s := r.observer.only(); s.Ender != want {
						t.Fatalf("summary %+v", s)
					}
					// The connections live on.
					second := down.Unary(method, []byte("question"))
					up.Reply(wantQuestion(t, up), []byte("answer"))
					wantReply(t, down, second, "answer")
				})
			})
		}
	}
}

func TestBackendRefusesTheStream(t *testing.T) {
	t.Run("once", func(t *testing.T) {
		everywhere(t, func(t *testing.T, r *rig) {
			down, id, up, upID := open(t, r)
			up.Reset(upID, http2.ErrCodeRefusedStream)
			upID = wantQuestion(t, up)
			up.Headers(upID)
			up.Trailers(upID, codes.OK)
			down.WantHeaders(id)
			down.WantTrailers(id)
		})
	})
	t.Run("twice", func(t *testing.T) {
		everywhere(t, func(t *testing.T, r *rig) {
			down, id, up, upID := open(t, r)
			up.Reset(upID, http2.ErrCodeRefusedStream)
			up.Reset(wantQuestion(t, up), http2.ErrCodeRefusedStream)
			down.WantReset(id, http2.ErrCodeRefusedStream)
		})
	})
}

// A backend may answer and not want the rest of the request.
func TestBackendAnswersEarly(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		down, id, up, upID := open(t, r)
		up.TrailersOnly(upID, codes.ResourceExhausted, "grpc-message", "too long")
		up.Reset(upID, http2.ErrCodeNo)
		if tr := down.WantTrailers(id); tr.Get("grpc-status") != "8" || tr.Get("grpc-message") != "too long" {
			t.Fatalf("trailers %v", tr)
		}
		down.WantReset(id, http2.ErrCodeNo)
	})
}
