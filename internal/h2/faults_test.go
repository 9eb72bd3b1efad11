package h2_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// Frames and their parts, as a careless or malicious peer may send them.
const (
	endHeaders = http2.FlagHeadersEndHeaders
	endStream  = http2.FlagDataEndStream
	padded     = http2.FlagDataPadded
	priority   = http2.FlagHeadersPriority
	ack        = http2.FlagSettingsAck
)

func frame(typ http2.FrameType, flags http2.Flags, id uint32, payload []byte) []byte {
	return loomtest.FrameBytes(typ, flags, id, payload)
}

func uint32s(values ...uint32) (p []byte) {
	for _, v := range values {
		p = binary.BigEndian.AppendUint32(p, v)
	}
	return p
}

// setting is the payload of a SETTINGS frame with one entry.
func setting(id http2.SettingID, v uint32) []byte {
	return append([]byte{byte(id >> 8), byte(id)}, uint32s(v)...)
}

// block encodes fields without the use of a dynamic table.
func block(kv ...string) []byte {
	var buf bytes.Buffer
	e := hpack.NewEncoder(&buf)
	e.SetMaxDynamicTableSizeLimit(0)
	for _, f := range loomtest.KV(kv...) {
		_ = e.WriteField(f)
	}
	return buf.Bytes()
}

func requestBlock(more ...string) []byte {
	return block(append([]string{":method", "POST", ":scheme", "http", ":path", "/s/m"}, more...)...)
}

// open, whole and closed are requests: with the body to come, complete, and
// reset by the caller.
func open(id uint32) []byte { return frame(http2.FrameHeaders, endHeaders, id, requestBlock()) }
func whole(id uint32) []byte {
	return frame(http2.FrameHeaders, endHeaders|endStream, id, requestBlock())
}
func closed(id uint32) []byte {
	return append(open(id), frame(http2.FrameRSTStream, 0, id, uint32s(8))...)
}

// reaction says what a peer gets told: "ok" for nothing, "RST id CODE" or
// "GOAWAY last CODE".
func reaction(frames []loomtest.Frame) string {
	var said []string
	for _, f := range frames {
		switch f.Type {
		case http2.FrameRSTStream:
			said = append(said, fmt.Sprintf("RST %d %v", f.StreamID, http2.ErrCode(binary.BigEndian.Uint32(f.Payload))))
		case http2.FrameGoAway:
			said = append(said, fmt.Sprintf("GOAWAY %d %v", binary.BigEndian.Uint32(f.Payload),
				http2.ErrCode(binary.BigEndian.Uint32(f.Payload[4:]))))
		}
	}
	if len(said) == 0 {
		return "ok"
	}
	return strings.Join(said, ", ")
}

// What callers do wrong, and what they are told (RFC 9113).
func TestFaultsOfCallers(t *testing.T) {
	tests := []struct {
		name   string
		frames [][]byte
		want   string
	}{
		// Sections 4 and 5: frames and streams.
		{"a frame too large", [][]byte{{0, 0x40, 1, 0, 0, 0, 0, 0, 1}}, "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"an unknown frame", [][]byte{frame(0x77, 0xff, 9, []byte("x"))}, "ok"},
		{"an unknown frame in a block", [][]byte{frame(http2.FrameHeaders, 0, 1, requestBlock()), frame(0x77, 0, 1, nil)},
			"GOAWAY 0 PROTOCOL_ERROR"},
		{"a block that another stream goes on", [][]byte{frame(http2.FrameHeaders, 0, 1, requestBlock()),
			frame(http2.FrameContinuation, endHeaders, 3, nil)}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"a block in a block", [][]byte{frame(http2.FrameHeaders, 0, 1, requestBlock()), whole(3)}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"a stream of ours", [][]byte{whole(2)}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"a stream lower than the last", [][]byte{whole(5), whole(3)}, "GOAWAY 5 PROTOCOL_ERROR"},
		{"a stream again", [][]byte{closed(1), open(1)}, "GOAWAY 1 STREAM_CLOSED"},
		{"PUSH_PROMISE", [][]byte{frame(http2.FramePushPromise, endHeaders, 1, uint32s(2))}, "GOAWAY 0 PROTOCOL_ERROR"},

		// Section 6.1: DATA.
		{"DATA on stream 0", [][]byte{frame(http2.FrameData, 0, 0, []byte("x"))}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"DATA on an idle stream", [][]byte{frame(http2.FrameData, 0, 1, []byte("x"))}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"DATA with too much padding", [][]byte{open(1), frame(http2.FrameData, padded, 1, []byte{5, 0, 0})}, "GOAWAY 1 PROTOCOL_ERROR"},
		{"DATA after END_STREAM", [][]byte{whole(1), frame(http2.FrameData, 0, 1, []byte("x"))}, "RST 1 STREAM_CLOSED"},
		{"DATA after RST_STREAM", [][]byte{closed(1), frame(http2.FrameData, 0, 1, []byte("x"))}, "RST 1 STREAM_CLOSED"},
		{"less than content-length", [][]byte{frame(http2.FrameHeaders, endHeaders, 1, requestBlock("content-length", "3")),
			frame(http2.FrameData, endStream, 1, []byte("ab"))}, "RST 1 PROTOCOL_ERROR"},
		{"more than content-length", [][]byte{frame(http2.FrameHeaders, endHeaders, 1, requestBlock("content-length", "3")),
			frame(http2.FrameData, 0, 1, []byte("abcd"))}, "RST 1 PROTOCOL_ERROR"},
		{"content-length and nothing", [][]byte{frame(http2.FrameHeaders, endHeaders|endStream, 1, requestBlock("content-length", "3"))},
			"RST 1 PROTOCOL_ERROR"},
		{"trailers before content-length", [][]byte{frame(http2.FrameHeaders, endHeaders, 1, requestBlock("content-length", "3")),
			frame(http2.FrameHeaders, endHeaders|endStream, 1, block("x", "y"))}, "RST 1 PROTOCOL_ERROR"},
		{"content-length and padding", [][]byte{frame(http2.FrameHeaders, endHeaders, 1, requestBlock("content-length", "3")),
			frame(http2.FrameData, endStream|padded, 1, []byte{2, 'a', 'b', 'c', 0, 0})}, "ok"},

		// Sections 6.2, 6.10 and 8: HEADERS and CONTINUATION.
		{"HEADERS on stream 0", [][]byte{whole(0)}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"HEADERS with too much padding", [][]byte{frame(http2.FrameHeaders, endHeaders|padded, 1, []byte{1})}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"HEADERS with half a priority", [][]byte{frame(http2.FrameHeaders, endHeaders|priority, 1, make([]byte, 4))}, "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"HEADERS that depend on themselves", [][]byte{frame(http2.FrameHeaders, endHeaders|priority, 1,
			append([]byte{0, 0, 0, 1, 0}, requestBlock()...))}, "RST 1 PROTOCOL_ERROR"},
		{"the same in two pieces", [][]byte{
			frame(http2.FrameHeaders, priority, 1, append([]byte{0, 0, 0, 1, 0}, requestBlock()...)),
			frame(http2.FrameContinuation, endHeaders, 1, nil)}, "RST 1 PROTOCOL_ERROR"},
		{"CONTINUATION alone", [][]byte{frame(http2.FrameContinuation, endHeaders, 1, requestBlock())}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"CONTINUATION after the end of a block", [][]byte{whole(1), frame(http2.FrameContinuation, endHeaders, 1, nil)},
			"GOAWAY 1 PROTOCOL_ERROR"},
		{"CONTINUATION without end", [][]byte{frame(http2.FrameHeaders, 0, 1, requestBlock()),
			bytes.Repeat(frame(http2.FrameContinuation, 0, 1, nil), 17)}, "GOAWAY 0 ENHANCE_YOUR_CALM"},
		{"a block in the most pieces", [][]byte{frame(http2.FrameHeaders, 0, 1, requestBlock()),
			bytes.Repeat(frame(http2.FrameContinuation, 0, 1, nil), 15), frame(http2.FrameContinuation, endHeaders, 1, nil)}, "ok"},
		{"a block that cannot be read", [][]byte{frame(http2.FrameHeaders, endHeaders, 1, []byte{0x80})}, "GOAWAY 0 COMPRESSION_ERROR"},
		{"a block that is cut off", [][]byte{frame(http2.FrameHeaders, 0, 1, []byte{0x00, 0x05}),
			frame(http2.FrameContinuation, endHeaders, 1, []byte("abc"))}, "GOAWAY 0 COMPRESSION_ERROR"},
		{"a request without path", [][]byte{frame(http2.FrameHeaders, endHeaders, 1, block(":method", "POST", ":scheme", "http"))},
			"RST 1 PROTOCOL_ERROR"},
		{"HEADERS after END_STREAM", [][]byte{whole(1), frame(http2.FrameHeaders, endHeaders|endStream, 1, block("x", "y"))},
			"RST 1 STREAM_CLOSED"},
		{"trailers that do not end", [][]byte{open(1), frame(http2.FrameHeaders, endHeaders, 1, block("x", "y"))}, "RST 1 PROTOCOL_ERROR"},
		{"trailers with a path", [][]byte{open(1), frame(http2.FrameHeaders, endHeaders|endStream, 1, block(":path", "/"))},
			"RST 1 PROTOCOL_ERROR"},
		{"trailers", [][]byte{open(1), frame(http2.FrameHeaders, endHeaders|endStream, 1, block("x", "y"))}, "ok"},

		// Sections 6.3 to 6.9.
		{"PRIORITY on stream 0", [][]byte{frame(http2.FramePriority, 0, 0, make([]byte, 5))}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"PRIORITY too short", [][]byte{open(1), frame(http2.FramePriority, 0, 1, make([]byte, 4))}, "RST 1 FRAME_SIZE_ERROR"},
		{"PRIORITY on itself", [][]byte{open(1), frame(http2.FramePriority, 0, 1, []byte{0, 0, 0, 1, 0})}, "RST 1 PROTOCOL_ERROR"},
		{"PRIORITY of an idle stream", [][]byte{frame(http2.FramePriority, 0, 9, make([]byte, 5)), whole(1)}, "ok"},
		{"RST_STREAM on stream 0", [][]byte{frame(http2.FrameRSTStream, 0, 0, uint32s(8))}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"RST_STREAM of an idle stream", [][]byte{frame(http2.FrameRSTStream, 0, 1, uint32s(8))}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"RST_STREAM too short", [][]byte{open(1), frame(http2.FrameRSTStream, 0, 1, make([]byte, 3))}, "GOAWAY 1 FRAME_SIZE_ERROR"},
		{"RST_STREAM twice", [][]byte{closed(1), frame(http2.FrameRSTStream, 0, 1, uint32s(8))}, "ok"},
		{"SETTINGS on a stream", [][]byte{frame(http2.FrameSettings, 0, 1, nil)}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"SETTINGS cut off", [][]byte{frame(http2.FrameSettings, 0, 0, make([]byte, 5))}, "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"SETTINGS ACK with payload", [][]byte{frame(http2.FrameSettings, ack, 0, make([]byte, 6))}, "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"SETTINGS ACK for nothing", [][]byte{frame(http2.FrameSettings, ack, 0, nil)}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"a window too large", [][]byte{frame(http2.FrameSettings, 0, 0, setting(http2.SettingInitialWindowSize, 1<<31))},
			"GOAWAY 0 FLOW_CONTROL_ERROR"},
		{"a window that grows too large", [][]byte{open(1), frame(http2.FrameWindowUpdate, 0, 1, uint32s(1<<31-65536)),
			frame(http2.FrameSettings, 0, 0, setting(http2.SettingInitialWindowSize, 65536))}, "GOAWAY 1 FLOW_CONTROL_ERROR"},
		{"PING on a stream", [][]byte{frame(http2.FramePing, 0, 1, make([]byte, 8))}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"PING too short", [][]byte{frame(http2.FramePing, 0, 0, make([]byte, 7))}, "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"PING ACK for nothing", [][]byte{frame(http2.FramePing, ack, 0, make([]byte, 8))}, "ok"},
		{"GOAWAY on a stream", [][]byte{frame(http2.FrameGoAway, 0, 1, make([]byte, 8))}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"GOAWAY too short", [][]byte{frame(http2.FrameGoAway, 0, 0, make([]byte, 7))}, "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"GOAWAY, and another call", [][]byte{frame(http2.FrameGoAway, 0, 0, uint32s(0, 0)), whole(1)}, "ok"},
		{"WINDOW_UPDATE too short", [][]byte{frame(http2.FrameWindowUpdate, 0, 0, make([]byte, 3))}, "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"WINDOW_UPDATE of 0", [][]byte{frame(http2.FrameWindowUpdate, 0, 0, uint32s(0))}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"WINDOW_UPDATE of 0 on a stream", [][]byte{open(1), frame(http2.FrameWindowUpdate, 0, 1, uint32s(1<<31))}, "RST 1 PROTOCOL_ERROR"},
		{"WINDOW_UPDATE of an idle stream", [][]byte{frame(http2.FrameWindowUpdate, 0, 1, uint32s(1))}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"WINDOW_UPDATE of a closed stream", [][]byte{closed(1), frame(http2.FrameWindowUpdate, 0, 1, uint32s(1))}, "ok"},
		{"WINDOW_UPDATE too large", [][]byte{frame(http2.FrameWindowUpdate, 0, 0, uint32s(1<<31-1))}, "GOAWAY 0 FLOW_CONTROL_ERROR"},
		{"WINDOW_UPDATE too large on a stream", [][]byte{open(1), frame(http2.FrameWindowUpdate, 0, 1, uint32s(1<<31-1))},
			"RST 1 FLOW_CONTROL_ERROR"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t)
				end, peer := h.rawPipe()
				h.serve(end, true, nil)
				peer.greet()
				peer.write(bytes.Join(tt.frames, nil))
				got := reaction(peer.frames())
				wantReaction(t, h, peer, got, tt.want)
				_ = peer.conn.Close()
			})
		})
	}
}

// What backends do wrong to stream 1, which waits for its answer, and 3, of
// which the answer has begun.
func TestFaultsOfBackends(t *testing.T) {
	ok := frame(http2.FrameHeaders, endHeaders, 3, block(":status", "200"))
	answer := func(flags http2.Flags, kv ...string) []byte {
		return frame(http2.FrameHeaders, endHeaders|flags, 1, block(kv...))
	}
	tests := []struct {
		name   string
		frames [][]byte
		want   string
	}{
		{"PUSH_PROMISE", [][]byte{frame(http2.FramePushPromise, endHeaders, 1, uint32s(2))}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"a stream of its own", [][]byte{frame(http2.FrameHeaders, endHeaders, 2, block(":status", "200"))}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"HEADERS on an idle stream", [][]byte{frame(http2.FrameHeaders, endHeaders, 5, block(":status", "200"))}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"DATA on an idle stream", [][]byte{frame(http2.FrameData, 0, 5, nil)}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"DATA before HEADERS", [][]byte{frame(http2.FrameData, 0, 1, []byte("x"))}, "RST 1 PROTOCOL_ERROR"},
		{"DATA after the end", [][]byte{ok, frame(http2.FrameData, endStream, 3, nil), frame(http2.FrameData, 0, 3, []byte("x"))},
			"ok"}, // both sides were through
		{"no status", [][]byte{answer(0, "x", "y")}, "RST 1 PROTOCOL_ERROR"},
		{"a status of letters", [][]byte{answer(0, ":status", "abc")}, "RST 1 PROTOCOL_ERROR"},
		{"a request", [][]byte{frame(http2.FrameHeaders, endHeaders, 1, requestBlock())}, "RST 1 PROTOCOL_ERROR"},
		{"an interim answer that ends", [][]byte{answer(endStream, ":status", "100")}, "RST 1 PROTOCOL_ERROR"},
		{"an interim answer", [][]byte{answer(0, ":status", "100"), answer(0, ":status", "200")}, "ok"},
		{"too large a block", [][]byte{answer(0, ":status", "200", "x", strings.Repeat("y", 10000))}, "RST 1 PROTOCOL_ERROR"},
		{"far too large a block", [][]byte{answer(0, ":status", "200", "x", strings.Repeat("y", 40000)[:16000])}, "RST 1 PROTOCOL_ERROR"},
		{"trailers that do not end", [][]byte{ok, frame(http2.FrameHeaders, endHeaders, 3, block("grpc-status", "0"))}, "RST 3 PROTOCOL_ERROR"},
		{"trailers with a status", [][]byte{ok, frame(http2.FrameHeaders, endHeaders|endStream, 3, block(":status", "200"))},
			"RST 3 PROTOCOL_ERROR"},
		{"trailers too large", [][]byte{ok, frame(http2.FrameHeaders, endHeaders|endStream, 3, block("x", strings.Repeat("y", 10000)))},
			"RST 3 PROTOCOL_ERROR"},
		{"an answer that depends on itself", [][]byte{frame(http2.FrameHeaders, endHeaders|priority, 1,
			append([]byte{0, 0, 0, 1, 0}, block(":status", "200")...))}, "RST 1 PROTOCOL_ERROR"},
		{"DATA beyond content-length", [][]byte{answer(0, ":status", "200", "content-length", "1"),
			frame(http2.FrameData, 0, 1, []byte("xy"))}, "RST 1 PROTOCOL_ERROR"},
		{"RST_STREAM of an idle stream", [][]byte{frame(http2.FrameRSTStream, 0, 5, uint32s(8))}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"a late frame after a fault", [][]byte{answer(0, "x", "y"), frame(http2.FrameData, 0, 1, []byte("x")),
			frame(http2.FrameHeaders, endHeaders|endStream, 1, block("grpc-status", "0"))}, "RST 1 PROTOCOL_ERROR"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, limits(func(l *h2.Limits) { l.HeaderList = 8000 }))
				end, peer := h.rawPipe()
				s := h.serve(end, false, nil)
				peer.answerGreeting()
				synctest.Wait()
				legs := map[uint32]*leg{1: s.mustOpen(true), 3: s.mustOpen(true)}
				peer.frames()
				peer.write(bytes.Join(tt.frames, nil))
				got := reaction(peer.frames())
				wantReaction(t, h, peer, got, tt.want)
				var id uint32
				if n, _ := fmt.Sscanf(got, "RST %d", &id); n == 1 {
					wantFault(t, legs[id])
				}
				_ = peer.conn.Close()
			})
		})
	}
}

// wantReaction compares what a peer was told, and what was counted.
func wantReaction(t *testing.T, h *host, peer *rawPeer, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("the peer was told %q, want %q", got, want)
	}
	ended := strings.HasPrefix(want, "GOAWAY")
	peer.frame(http2.FramePing, 0, 0, make([]byte, 8))
	if answered := len(of(http2.FramePing, peer.frames())) == 1; answered == ended {
		t.Errorf("the connection goes on: %v, want %v", answered, !ended)
	}
	var conns, streams uint64
	switch {
	case ended && !strings.HasSuffix(want, "ENHANCE_YOUR_CALM"):
		conns = 1
	case strings.HasPrefix(want, "RST"):
		streams = 1
	}
	if c, s := h.counters.ProtocolErrors.Load(), h.counters.StreamErrors.Load(); c != conns || s != streams {
		t.Errorf("ProtocolErrors = %d, StreamErrors = %d; want %d, %d", c, s, conns, streams)
	}
}

// What was under way when we reset a stream is no fault.
func TestLateFramesAreIgnored(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		end, peer := h.rawPipe()
		s := h.serve(end, true, nil)
		peer.greet()
		peer.write(open(1))
		l := s.leg()
		l.want("headers")
		do(func(b *h2.Batch) { l.Reset(b, h2.CodeCancel) })
		if got := reaction(peer.frames()); got != "RST 1 CANCEL" {
			t.Fatal(got)
		}
		peer.write(frame(http2.FrameData, 0, 1, make([]byte, 1000)))
		peer.write(frame(http2.FrameWindowUpdate, 0, 1, uint32s(1)))
		peer.write(frame(http2.FrameHeaders, endHeaders|endStream, 1, block("x", "y")))
		peer.write(frame(http2.FrameRSTStream, 0, 1, uint32s(8)))
		wantReaction(t, h, peer, reaction(peer.frames()), "ok")
		l.wantNothing()
		_ = peer.conn.Close()
	})
}

// More DATA than the window is a fault of the stream, or of the connection.
func TestDataBeyondTheWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, limits(func(l *h2.Limits) { l.ConnWindow, l.Buffered = 1<<16, 1<<16 }))
		end, peer := h.rawPipe()
		s := h.serve(end, true, func(l *leg) {
			held := 0
			l.onData = func(_ *h2.Batch, _ *h2.Stream, p []byte, _ bool) { held += len(p) }
			l.onEnded = func(b *h2.Batch, _ h2.End) { l.Discard(b, held) }
		})
		peer.greet()
		full := func(id uint32) []byte { // 65,535 bytes
			return append(open(id), bytes.Repeat(frame(http2.FrameData, 0, id, make([]byte, 13107)), 5)...)
		}
		peer.write(full(1))
		peer.frame(http2.FrameData, 0, 1, nil) // fits even then
		if got := reaction(peer.frames()); got != "ok" {
			t.Errorf("a stream's window filled to the last byte: %s", got)
		}
		peer.frame(http2.FrameData, 0, 1, []byte("x"))
		if got := reaction(peer.frames()); got != "RST 1 FLOW_CONTROL_ERROR" {
			t.Errorf("one byte more: %s", got)
		}
		l := s.leg()
		l.want("headers")
		if e := l.wantEnded(h2.CauseFault); e.Code != h2.CodeFlowControl {
			t.Errorf("the stream ended with %+v", e)
		}
		peer.write(full(3))
		peer.write(append(open(5), frame(http2.FrameData, 0, 5, []byte("x"))...))
		if got := reaction(peer.frames()); got != "ok" {
			t.Errorf("the connection's window filled to the last byte: %s", got)
		}
		peer.frame(http2.FrameData, 0, 5, []byte("x"))
		if got := reaction(peer.frames()); got != "GOAWAY 5 FLOW_CONTROL_ERROR" {
			t.Errorf("one byte more: %s", got)
		}
		_ = peer.conn.Close()
	})
}

// wantFault waits for the end of a stream for a fault, and nothing after it.
func wantFault(t *testing.T, l *leg) {
	t.Helper()
	for {
		e := <-l.events
		if e.what != "ended" {
			continue
		}
		if e.ended.Cause != h2.CauseFault || e.ended.Fault == "" {
			t.Errorf("stream %d ended with %+v", l.ID(), e.ended)
		}
		l.wantNothing()
		return
	}
}
