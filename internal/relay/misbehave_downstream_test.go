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

func TestCallerResetsTheCall(t *testing.T) {
	for _, code := range []http2.ErrCode{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0x4242} {
		for _, p := range []point{beforeHeaders, afterHeaders, afterMessage} {
			t.Run(fmt.Sprint(points[p], " ", code), func(t *testing.T) {
				inMemory(t, func(t *testing.T, r *rig) {
					down, id, up, upID := open(t, r)
					answerUpTo(up, upID, p)
					wantUpTo(t, down, id, p)
					down.Reset(id, code)
					up.WantReset(upID, code)
					up.WantNothing(time.Second)
					down.WantNothing(time.Second)
					if s := r.observer.only(); s.Ender != callevent.ByCancel || s.Code != uint32(codes.Canceled) {
						t.Fatalf("summary %+v", s)
					}
				})
			})
		}
	}
}

func TestCallerResetsAfterTheEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		down, id, up, upID := open(t, r)
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
		down.Reset(id, http2.ErrCodeCancel)
		up.WantReset(upID, http2.ErrCodeCancel)
		r.settle()
		if s := r.observer.only(); s.Ender != callevent.ByBackend {
			t.Fatalf("summary %+v", s)
		}
	})
}

// A call that is cancelled while it waits for a connection never gets one.
func TestCallerCancelsWhileWaiting(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		proceed := make(chan struct{})
		r.dialer.SetDialHook(waitFor(proceed))
		down := r.caller()
		first, second := down.Unary(method, []byte("no")), down.Unary(method, []byte("question"))
		down.WantNothing(time.Second)
		down.Reset(first, http2.ErrCodeCancel)
		down.WantNothing(time.Second)
		close(proceed)
		up := r.ups.Accept()
		id := wantQuestion(t, up)
		up.WantEnd(id)
		up.Reply(id, []byte("answer"))
		wantReply(t, down, second, "answer")
		up.WantNothing(time.Second)
	})
}

// A caller whose connection goes takes its calls with it, at once.
func TestCallerIsLost(t *testing.T) {
	ends := map[string]func(*loomtest.Downstream){
		"cut":        func(d *loomtest.Downstream) { d.Cut() },
		"close":      func(d *loomtest.Downstream) { d.Close() },
		"half-close": func(d *loomtest.Downstream) { d.CloseWrite() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, r *rig) {
				down, _, up, upID := open(t, r)
				second := down.Unary(method, []byte("question"))
				secondID := wantQuestion(t, up)
				up.WantEnd(secondID)
				up.Headers(secondID)
				down.WantHeaders(second)
				end(down)
				up.WantReset(upID, http2.ErrCodeCancel)
				up.WantReset(secondID, http2.ErrCodeCancel)
				down.WantClosed()
				r.settle()
				for _, s := range r.observer.all() {
					if s.Ender != callevent.ByCallerLost {
						t.Fatalf("summary %+v", s)
					}
				}
				// The backend's connection serves others.
				other := r.caller()
				id := other.Unary(method, []byte("question"))
				up.Reply(wantQuestion(t, up), []byte("answer"))
				wantReply(t, other, id, "answer")
			})
		})
	}
}

// GOAWAY from a caller says that it takes no pushes, which there are none of.
func TestCallerSaysGoAway(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		down, id, up, upID := open(t, r)
		down.GoAway(0, http2.ErrCodeNo, "bye")
		down.Data(id, []byte("more"), true)
		if msg := up.WantMessage(upID); string(msg) != "more" {
			t.Fatalf("message %q", msg)
		}
		up.WantEnd(upID)
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
	})
}

// Faults of the caller that concern one stream: it hears RST_STREAM, the
// backend too, and the connection goes on.
func TestCallerBreaksAStream(t *testing.T) {
	block := func(end bool, kv ...string) func(*loomtest.Downstream, uint32) {
		return func(down *loomtest.Downstream, id uint32) { down.HeaderBlock(id, end, loomtest.KV(kv...)) }
	}
	tests := []struct {
		name  string
		fault func(down *loomtest.Downstream, id uint32)
		code  http2.ErrCode
	}{
		{"trailers that do not end", block(false, "x", "y"), http2.ErrCodeProtocol},
		{"trailers with a path", block(true, ":path", "/"), http2.ErrCodeProtocol},
		{"trailers with upper case", block(true, "X", "y"), http2.ErrCodeProtocol},
		{"window update of nothing", func(down *loomtest.Downstream, id uint32) { down.WindowUpdate(id, 0) }, http2.ErrCodeProtocol},
		{"window too wide", func(down *loomtest.Downstream, id uint32) { down.WindowUpdate(id, 1<<31-1) }, http2.ErrCodeFlowControl},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) {
				down, id, up, upID := open(t, r)
				tt.fault(down, id)
				down.WantReset(id, tt.code)
				for e := (loomtest.Event{}); e.Kind != loomtest.KindReset; {
					// What came before the fault may pass.
					var err error
					if e, err = up.Next(upID, time.Minute); err != nil {
						t.Fatalf("upstream: want RST_STREAM: %v", err)
					}
				}
				r.settle()
				if s := r.observer.only(); s.Reason != "CALLER_PROTOCOL_ERROR" || s.Ender != callevent.ByLoom {
					t.Fatalf("summary %+v", s)
				}
				wantCallOn(t, down, up)
			})
		})
	}
}

// wantCallOn plays one more call on connections that should still serve.
func wantCallOn(t *testing.T, down *loomtest.Downstream, up *loomtest.Upstream) {
	t.Helper()
	id := down.Unary(method, []byte("question"))
	up.Reply(wantQuestion(t, up), []byte("answer"))
	wantReply(t, down, id, "answer")
}

// Requests that are malformed never reach the backend.
func TestMalformedRequests(t *testing.T) {
	tests := map[string]loomtest.Fields{
		"no method":            loomtest.KV(":scheme", "http", ":path", method),
		"no path":              loomtest.KV(":method", "POST", ":scheme", "http"),
		"empty path":           loomtest.KV(":method", "POST", ":scheme", "http", ":path", ""),
		"no scheme":            loomtest.KV(":method", "POST", ":path", method),
		"two paths":            loomtest.KV(":method", "POST", ":scheme", "http", ":path", method, ":path", method),
		"a status":             loomtest.KV(":method", "POST", ":scheme", "http", ":path", method, ":status", "200"),
		"unknown pseudo":       loomtest.KV(":method", "POST", ":scheme", "http", ":path", method, ":who", "me"),
		"pseudo after regular": loomtest.KV(":method", "POST", ":scheme", "http", "x", "y", ":path", method),
		"upper case name":      loomtest.RequestFields(method, "X-Up", "y"),
		"space in a name":      loomtest.RequestFields(method, "x y", "z"),
		"empty name":           loomtest.RequestFields(method, "", "z"),
		"zero in a value":      loomtest.RequestFields(method, "x", "a\x00b"),
		"space at the end":     loomtest.RequestFields(method, "x", "a "),
		"connection":           loomtest.RequestFields(method, "connection", "keep-alive"),
		"transfer-encoding":    loomtest.RequestFields(method, "transfer-encoding", "chunked"),
		"te gzip":              loomtest.RequestFields(method, "te", "gzip"),
	}
	for name, fields := range tests {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) {
				down := r.caller()
				down.HeaderBlock(1, false, fields)
				down.WantReset(1, http2.ErrCodeProtocol)
				r.ups.WantNone(time.Second)
				// The connection lives on.
				down.Headers(3, method)
				r.ups.Accept().WantCall()
			})
		})
	}
}

// Faults that the connection does not survive: the caller hears why, its calls
// end upstream.
func TestCallerBreaksTheConnection(t *testing.T) {
	raw := func(typ http2.FrameType, flags http2.Flags, id uint32, payload ...byte) func(*loomtest.Downstream) {
		return func(down *loomtest.Downstream) { down.RawFrame(typ, flags, id, payload) }
	}
	tests := []struct {
		name  string
		fault func(down *loomtest.Downstream)
		code  http2.ErrCode
	}{
		{"push", raw(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1, 0, 0, 0, 2, 0x83), http2.ErrCodeProtocol},
		{"even stream", func(down *loomtest.Downstream) { down.Headers(2, method) }, http2.ErrCodeProtocol},
		{"stream out of order", func(down *loomtest.Downstream) {
			down.Headers(9, method)
			down.Headers(7, method)
		}, http2.ErrCodeProtocol},
		{"data on an idle stream", func(down *loomtest.Downstream) { down.Data(99, nil, false) }, http2.ErrCodeProtocol},
		{"reset of an idle stream", raw(http2.FrameRSTStream, 0, 99, 0, 0, 0, 0), http2.ErrCodeProtocol},
		{"window of an idle stream", raw(http2.FrameWindowUpdate, 0, 99, 0, 0, 0, 1), http2.ErrCodeProtocol},
		{"connection window too wide", raw(http2.FrameWindowUpdate, 0, 0, 0x7f, 0xff, 0xff, 0xff), http2.ErrCodeFlowControl},
		{"frame too large", raw(http2.FrameData, 0, 1, make([]byte, 16385)...), http2.ErrCodeFrameSize},
		{"frame inside a block", func(down *loomtest.Downstream) {
			down.RawFrame(http2.FrameHeaders, 0, 3, []byte{0x83})
			down.Data(1, nil, false)
		}, http2.ErrCodeProtocol},
		{"block that is no HPACK", raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f), http2.ErrCodeCompression},
		{"settings of odd length", raw(http2.FrameSettings, 0, 0, 1), http2.ErrCodeFrameSize},
		{"push setting of 2", raw(http2.FrameSettings, 0, 0, 0, 2, 0, 0, 0, 2), http2.ErrCodeProtocol},
		{"settings ack of nothing", raw(http2.FrameSettings, http2.FlagSettingsAck, 0), http2.ErrCodeProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) {
				down, _, up, upID := open(t, r)
				down.Ping([8]byte{1})
				down.WantPingAck([8]byte{1})
				tt.fault(down)
				down.WantGoAway(tt.code)
				down.WantClosed()
				up.WantReset(upID, http2.ErrCodeCancel)
				r.settle()
				if n := r.counters.ProtocolErrors.Load(); n != 1 {
					t.Fatalf("ProtocolErrors = %d", n)
				}
			})
		})
	}
}

// Half a frame, then silence: answers still come, and only the caller's own
// sending has stopped.
func TestCallerFallsSilentInsideAFrame(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		down, id, up, upID := open(t, r)
		down.SetAuto(loomtest.AutoAll, false)
		down.RawBytes(loomtest.FrameBytes(http2.FrameData, 0, id, make([]byte, 1000))[:500])
		up.Headers(upID)
		up.Data(upID, []byte("answer"), false)
		up.Trailers(upID, codes.OK)
		wantReply(t, down, id, "answer")
	})
}

func TestRequestThatIsNotGRPC(t *testing.T) {
	for name, kv := range map[string][]string{
		"method":       {":method", "GET"},
		"content type": {"content-type", "application/json"},
		"lookalike":    {"content-type", "application/grpcx"},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, r *rig) {
				down := r.caller()
				down.HeaderBlock(1, true, loomtest.RequestFields(method, kv...))
				if h := down.WantHeaders(1); h.Get(":status") != "415" {
					t.Fatalf("headers %v", h)
				}
				if body := down.WantData(1); len(body) == 0 {
					t.Fatal("an empty body")
				}
				down.WantEnd(1)
				r.ups.WantNone(20 * time.Millisecond)
			})
		})
	}
}

// Request trailers are nothing that gRPC has, and pass all the same.
func TestRequestTrailersPass(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		down, id, up, upID := open(t, r)
		down.HeaderBlock(id, true, loomtest.KV("x-sum", "1"))
		if tr := up.WantTrailers(upID); tr.Get("x-sum") != "1" {
			t.Fatalf("trailers %v", tr)
		}
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
	})
}
