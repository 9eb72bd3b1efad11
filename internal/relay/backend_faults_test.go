package relay_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"

	"loom/internal/callevent"
	"loom/internal/loomtest"
)

// Faults of the backend that concern one stream: the caller hears INTERNAL,
// the backend RST_STREAM, and the connection goes on.
func TestBackendBreaksAStream(t *testing.T) {
	raw := func(typ http2.FrameType, flags http2.Flags, payload ...byte) func(*loomtest.Upstream, uint32) {
		return func(up *loomtest.Upstream, id uint32) { up.RawFrame(typ, flags, id, payload) }
	}
	block := func(end bool, kv ...string) func(*loomtest.Upstream, uint32) {
		return func(up *loomtest.Upstream, id uint32) { up.HeaderBlock(id, end, loomtest.KV(kv...)) }
	}
	tests := []struct {
		name  string
		after point
		fault func(up *loomtest.Upstream, id uint32)
		code  http2.ErrCode
	}{
		{"data before headers", beforeHeaders, func(up *loomtest.Upstream, id uint32) { up.Data(id, []byte("x"), false) }, http2.ErrCodeProtocol},
		{"no status", beforeHeaders, block(false, "content-type", "application/grpc"), http2.ErrCodeProtocol},
		{"two statuses", beforeHeaders, block(false, ":status", "200", ":status", "200"), http2.ErrCodeProtocol},
		{"status in words", beforeHeaders, block(false, ":status", "fine"), http2.ErrCodeProtocol},
		{"request headers", beforeHeaders, block(false, ":status", "200", ":path", "/"), http2.ErrCodeProtocol},
		{"upper case name", beforeHeaders, block(false, ":status", "200", "X-Up", "1"), http2.ErrCodeProtocol},
		{"empty name", beforeHeaders, block(false, ":status", "200", "", "1"), http2.ErrCodeProtocol},
		{"line break in a value", beforeHeaders, block(false, ":status", "200", "x", "a\r\nb"), http2.ErrCodeProtocol},
		{"connection header", beforeHeaders, block(false, ":status", "200", "connection", "close"), http2.ErrCodeProtocol},
		{"status after others", beforeHeaders, block(false, "x", "y", ":status", "200"), http2.ErrCodeProtocol},
		{"interim that ends", beforeHeaders, block(true, ":status", "103"), http2.ErrCodeProtocol},
		{"interim after final", afterHeaders, block(false, ":status", "103"), http2.ErrCodeProtocol},
		{"headers twice", afterHeaders, block(false, ":status", "200"), http2.ErrCodeProtocol},
		{"trailers with a status", afterMessage, block(true, ":status", "200", "grpc-status", "0"), http2.ErrCodeProtocol},
		{"trailers that do not end", afterMessage, block(false, "grpc-status", "0"), http2.ErrCodeProtocol},
		{"window update of nothing", afterHeaders, raw(http2.FrameWindowUpdate, 0, 0, 0, 0, 0), http2.ErrCodeProtocol},
		{"window too wide", afterHeaders, raw(http2.FrameWindowUpdate, 0, 0x7f, 0xff, 0xff, 0xff), http2.ErrCodeFlowControl},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) {
				down, id, up, upID := open(t, r)
				answerUpTo(up, upID, tt.after)
				wantUpTo(t, down, id, tt.after)
				tt.fault(up, upID)
				up.WantReset(upID, tt.code)
				down.WantStatus(id, codes.Internal)
				down.WantReset(id, http2.ErrCodeNo)
				r.settle()
				if s := r.observer.only(); s.Ender != callevent.ByLoom || s.Reason != "BACKEND_PROTOCOL_ERROR" {
					t.Fatalf("summary %+v", s)
				}
				if n := r.counters.StreamErrors.Load(); n != 1 {
					t.Fatalf("StreamErrors = %d", n)
				}
				second := down.Unary(method, []byte("question"))
				up.Reply(wantQuestion(t, up), []byte("answer"))
				wantReply(t, down, second, "answer")
			})
		})
	}
}

// Faults that a connection does not survive: the backend hears why in a GOAWAY,
// the call ends as one whose backend was lost, and the next call gets a fresh
// connection.
func TestBackendBreaksTheConnection(t *testing.T) {
	raw := func(typ http2.FrameType, flags http2.Flags, id uint32, payload ...byte) func(*loomtest.Upstream, uint32) {
		return func(up *loomtest.Upstream, _ uint32) { up.RawFrame(typ, flags, id, payload) }
	}
	tests := []struct {
		name  string
		fault func(up *loomtest.Upstream, id uint32)
		code  http2.ErrCode
	}{
		{"push", func(up *loomtest.Upstream, id uint32) {
			up.RawFrame(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, id, []byte{0, 0, 0, 2, 0x88})
		}, http2.ErrCodeProtocol},
		{"headers on an even stream", func(up *loomtest.Upstream, _ uint32) { up.Headers(2) }, http2.ErrCodeProtocol},
		{"headers on an idle stream", func(up *loomtest.Upstream, id uint32) { up.Headers(id + 2) }, http2.ErrCodeProtocol},
		{"data on an idle stream", func(up *loomtest.Upstream, id uint32) { up.Data(id+2, nil, false) }, http2.ErrCodeProtocol},
		{"reset of an idle stream", raw(http2.FrameRSTStream, 0, 99, 0, 0, 0, 0), http2.ErrCodeProtocol},
		{"window of an idle stream", raw(http2.FrameWindowUpdate, 0, 99, 0, 0, 0, 1), http2.ErrCodeProtocol},
		{"data on stream 0", raw(http2.FrameData, 0, 0, 1), http2.ErrCodeProtocol},
		{"headers on stream 0", raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 0, 0x88), http2.ErrCodeProtocol},
		{"reset of stream 0", raw(http2.FrameRSTStream, 0, 0, 0, 0, 0, 0), http2.ErrCodeProtocol},
		{"settings on a stream", raw(http2.FrameSettings, 0, 1), http2.ErrCodeProtocol},
		{"settings of odd length", raw(http2.FrameSettings, 0, 0, 0, 4, 0, 0, 0), http2.ErrCodeFrameSize},
		{"settings ack with payload", raw(http2.FrameSettings, http2.FlagSettingsAck, 0, 0, 4, 0, 0, 0, 0), http2.ErrCodeFrameSize},
		{"frame size too small", raw(http2.FrameSettings, 0, 0, 0, 5, 0, 0, 0, 1), http2.ErrCodeProtocol},
		{"window setting too wide", raw(http2.FrameSettings, 0, 0, 0, 4, 0x80, 0, 0, 0), http2.ErrCodeFlowControl},
		{"ping of 7 bytes", raw(http2.FramePing, 0, 0, 1, 2, 3, 4, 5, 6, 7), http2.ErrCodeFrameSize},
		{"ping on a stream", raw(http2.FramePing, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8), http2.ErrCodeProtocol},
		{"goaway on a stream", raw(http2.FrameGoAway, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0), http2.ErrCodeProtocol},
		{"short goaway", raw(http2.FrameGoAway, 0, 0, 0, 0, 0, 0), http2.ErrCodeFrameSize},
		{"short reset", raw(http2.FrameRSTStream, 0, 1, 0, 0), http2.ErrCodeFrameSize},
		{"short window update", raw(http2.FrameWindowUpdate, 0, 1, 0, 0), http2.ErrCodeFrameSize},
		{"connection window of nothing", raw(http2.FrameWindowUpdate, 0, 0, 0, 0, 0, 0), http2.ErrCodeProtocol},
		{"connection window too wide", raw(http2.FrameWindowUpdate, 0, 0, 0x7f, 0xff, 0xff, 0xff), http2.ErrCodeFlowControl},
		{"padding longer than the frame", raw(http2.FrameData, http2.FlagDataPadded, 1, 5, 1, 2), http2.ErrCodeProtocol},
		{"padded frame without length", raw(http2.FrameData, http2.FlagDataPadded, 1), http2.ErrCodeProtocol},
		{"frame too large", raw(http2.FrameData, 0, 1, make([]byte, 16385)...), http2.ErrCodeFrameSize},
		{"continuation of nothing", raw(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1, 0x88), http2.ErrCodeProtocol},
		{"frame inside a block", func(up *loomtest.Upstream, id uint32) {
			up.RawFrame(http2.FrameHeaders, 0, id, []byte{0x88})
			up.Ping([8]byte{})
		}, http2.ErrCodeProtocol},
		{"index beyond the table", raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, 0xff, 0x80, 0x01), http2.ErrCodeCompression},
		{"block cut inside a field", raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, 0x40, 0x05, 'a'), http2.ErrCodeCompression},
		{"table larger than allowed", raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, 0x3f, 0xff, 0xff, 0x03, 0x88), http2.ErrCodeCompression},
		{"settings ack of nothing", raw(http2.FrameSettings, http2.FlagSettingsAck, 0), http2.ErrCodeProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) {
				down, id, up, upID := open(t, r)
				up.Ping([8]byte{1}) // its ACK says that our SETTINGS ACK was taken, too
				up.WantPingAck([8]byte{1})
				tt.fault(up, upID)
				up.WantGoAway(tt.code)
				up.WantClosed()
				wantLost(t, down, id)
				if n := r.counters.ProtocolErrors.Load(); n != 1 {
					t.Fatalf("ProtocolErrors = %d", n)
				}
				second := down.Unary(method, []byte("question"))
				fresh := r.ups.Accept()
				fresh.Reply(wantQuestion(t, fresh), []byte("answer"))
				wantReply(t, down, second, "answer")
			})
		})
	}
}

// What a backend sends on a stream that has ended concerns nobody else.
func TestBackendSendsAfterTheEnd(t *testing.T) {
	tests := []struct {
		name string
		send func(up *loomtest.Upstream, id uint32)
	}{
		{"trailers twice", func(up *loomtest.Upstream, id uint32) { up.Trailers(id, codes.Internal) }},
		{"data", func(up *loomtest.Upstream, id uint32) { up.Data(id, []byte("x"), false) }},
		{"empty data that ends", func(up *loomtest.Upstream, id uint32) { up.RawData(id, nil, true) }},
		{"reset", func(up *loomtest.Upstream, id uint32) { up.Reset(id, http2.ErrCodeInternal) }},
		{"window update", func(up *loomtest.Upstream, id uint32) { up.WindowUpdate(id, 10) }},
		{"window update of nothing", func(up *loomtest.Upstream, id uint32) { up.WindowUpdate(id, 0) }},
	}
	for _, tt := range tests {
		for _, requestOpen := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, request open %v", tt.name, requestOpen), func(t *testing.T) {
				inMemory(t, func(t *testing.T, r *rig) {
					down, id, up, upID := open(t, r)
					if !requestOpen {
						down.RawData(id, nil, true)
						up.WantEnd(upID)
					}
					up.Reply(upID, []byte("answer"))
					tt.send(up, upID)
					wantReply(t, down, id, "answer")
					// The caller sees no second status, whatever becomes of the rest.
					for {
						e, err := down.Next(id, time.Millisecond)
						if err != nil {
							break
						}
						if e.Kind != loomtest.KindReset || !requestOpen {
							t.Fatalf("after the trailers came %v", e)
						}
					}
					second := down.Unary(method, []byte("question"))
					if !up.Alive() {
						up = r.ups.Accept()
					}
					up.Reply(wantQuestion(t, up), []byte("answer"))
					wantReply(t, down, second, "answer")
				})
			})
		}
	}
}

func TestBackendInterimHeaders(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		down, id, up, upID := open(t, r)
		up.HeaderBlock(upID, false, loomtest.KV(":status", "100"))
		up.HeaderBlock(upID, false, loomtest.KV(":status", "103", "link", "</a>"))
		up.Reply(upID, []byte("answer"))
		for _, want := range []string{"100", "103"} {
			if h := down.WantHeaders(id); h.Get(":status") != want {
				t.Fatalf("got %v, want status %s", h, want)
			}
		}
		wantReply(t, down, id, "answer")
	})
}

// What is no gRPC answer passes as it is: clients know what to make of it.
func TestBackendAnswersHTTP(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		down, id, up, upID := open(t, r)
		up.HeaderBlock(upID, false, loomtest.KV(":status", "503", "content-type", "text/html"))
		up.RawData(upID, []byte("<h1>sorry</h1>"), true)
		if h := down.WantHeaders(id); h.Get(":status") != "503" || h.Get("content-type") != "text/html" {
			t.Fatalf("headers %v", h)
		}
		if body := down.WantBytes(id, 14); string(body) != "<h1>sorry</h1>" {
			t.Fatalf("body %q", body)
		}
		down.WantEnd(id)
	})
}

func TestBackendIsNotHTTP2(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller(loomtest.Timeout(time.Minute))
		id := down.Unary(method, []byte("question"))
		// The answer may overtake the request, which then goes out once more.
		go func() {
			for conn, err := r.dialer.Accept(); err == nil; conn, err = r.dialer.Accept() {
				_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
				_ = conn.(*loomtest.Conn).CloseWrite()
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}
		}()
		down.WantStatus(id, codes.Unavailable)
	})
}

func TestBackendNeverSaysHello(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller(loomtest.Timeout(time.Minute))
		id := down.Unary(method, []byte("question"))
		conn := r.ups.AcceptConn()
		defer func() { _ = conn.Close() }()
		start := time.Now()
		down.WantStatus(id, codes.Unavailable)
		if took := time.Since(start); took != r.opts.limits.Preface {
			t.Fatalf("gave up after %v", took)
		}
		if n := r.counters.PrefaceTimeouts.Load(); n != 1 {
			t.Fatalf("PrefaceTimeouts = %d", n)
		}
	})
}

// Half a frame, then silence: the call ends when its caller's patience does,
// and the backend hears of it.
func TestBackendFallsSilentInsideAFrame(t *testing.T) {
	frames := map[string][]byte{
		"header of a frame": {0, 0, 9, 0},
		"headers":           loomtest.FrameBytes(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, bytes.Repeat([]byte{0x88}, 20))[:15],
		"data":              loomtest.FrameBytes(http2.FrameData, 0, 1, make([]byte, 1000))[:500],
	}
	for name, half := range frames {
		t.Run(name+", deadline", func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) {
				down := r.caller()
				id := down.Open(method, "grpc-timeout", "3S")
				up := r.ups.Accept()
				upID, _ := up.WantCall()
				fallSilent(up, half)
				start := time.Now()
				down.WantStatus(id, codes.DeadlineExceeded)
				if took := time.Since(start); took != 3050*time.Millisecond {
					t.Fatalf("gave up after %v", took)
				}
				up.WantReset(upID, http2.ErrCodeCancel)
				down.WantReset(id, http2.ErrCodeNo)
			})
		})
		t.Run(name+", keepalive", func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) {
				down, id, up, _ := open(t, r)
				fallSilent(up, half)
				start := time.Now()
				wantLost(t, down, id)
				if took := time.Since(start); took != 2*time.Second {
					t.Fatalf("gave up after %v", took)
				}
				if n := r.counters.KeepaliveLost.Load(); n != 1 {
					t.Fatalf("KeepaliveLost = %d", n)
				}
				up.WantClosed()
			}, func(o *rigOptions) { o.keepalive = time.Second })
		})
		t.Run(name+", cancel", func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) {
				down, id, up, upID := open(t, r)
				fallSilent(up, half)
				down.Reset(id, http2.ErrCodeCancel)
				up.WantReset(upID, http2.ErrCodeCancel)
			})
		})
	}
}

// fallSilent sends half a frame as the last that up ever sends.
func fallSilent(up *loomtest.Upstream, half []byte) {
	synctest.Wait() // until what up answers by itself is out
	up.SetAuto(loomtest.AutoAll, false)
	up.RawBytes(half)
}

// Answer headers in many pieces, padded, with priority: one block downstream.
func TestBackendHeadersInPieces(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		down, id, up, upID := open(t, r)
		fields := append(loomtest.KV(":status", "200", "x-a", "1"),
			hpack.HeaderField{Name: "x-secret", Value: "s", Sensitive: true})
		up.HeaderBlockSplit(upID, false, fields, 0, 1, 2, 0, 3)
		h := down.WantHeaders(id)
		if h.String() != fields.String() || !h.Fields[2].Sensitive {
			t.Fatalf("headers %v, never-indexed %v", h, h.Fields[2].Sensitive)
		}
		up.DataPadded(upID, []byte("padded"), 255, false)
		if got := down.WantData(id); string(got) != "padded" {
			t.Fatalf("data %q", got)
		}
	})
}

// A dial that fails, and one that hangs.
func TestBackendCannotBeReached(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		_ = r.dialer.Close()
		down := r.caller()
		id := down.Unary(method, []byte("question"))
		tr := down.WantTrailers(id)
		if tr.Get("grpc-status") != "14" || tr.Get(":status") != "200" {
			t.Fatalf("trailers %v", tr)
		}
		r.settle()
		if s := r.observer.only(); s.Attempts != 0 || s.Reason != "BACKEND_UNREACHABLE" {
			t.Fatalf("summary %+v", s)
		}
	})
}
