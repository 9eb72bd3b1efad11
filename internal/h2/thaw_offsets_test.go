package h2_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// speaker writes down what a peer says, with everything that can be under way
// when it is interrupted.
type speaker struct {
	bytes.Buffer
	framer *http2.Framer
	block  bytes.Buffer
	enc    *hpack.Encoder
}

func newSpeaker() *speaker {
	s := &speaker{}
	s.framer = http2.NewFramer(&s.Buffer, nil)
	s.framer.AllowIllegalWrites = true
	s.enc = hpack.NewEncoder(&s.block)
	return s
}

// headers says a header block, in fragments of size bytes or a little more if
// that is not 0.
func (s *speaker) headers(id uint32, end bool, size int, fields loomtest.Fields) {
	s.block.Reset()
	for _, f := range fields {
		_ = s.enc.WriteField(f)
	}
	block := s.block.Bytes()
	first := block
	if size > 0 {
		first = block[:size]
	}
	block = block[len(first):]
	_ = s.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0,
		PadLength: uint8(id), Priority: http2.PriorityParam{StreamDep: id + 2, Weight: 9},
	})
	for len(block) > 0 {
		n := min(max(size, 1+s.block.Len()/10), len(block))
		_ = s.framer.WriteContinuation(id, n == len(block), block[:n])
		block = block[n:]
	}
}

func (s *speaker) data(id uint32, end bool, data string) {
	_ = s.framer.WriteDataPadded(id, end, []byte(data), make([]byte, len(data)%5))
}

// goOn says what makes no stream: settings, pings, windows.
func (s *speaker) goOn(ids ...uint32) {
	_ = s.framer.WritePing(false, [8]byte{1, 2, 3})
	_ = s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
	for _, id := range ids {
		_ = s.framer.WriteWindowUpdate(id, 40)
	}
	_ = s.framer.WriteSettings(
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: 50},
		http2.Setting{ID: http2.SettingHeaderTableSize, Val: 100},
	)
	_ = s.framer.WriteRawFrame(0x77, 0, 0, []byte("unknown"))
	_ = s.framer.WriteWindowUpdate(0, 100)
}

// callerSays is a conversation of a caller: preface included.
func callerSays() []byte {
	s := newSpeaker()
	s.WriteString(http2.ClientPreface)
	_ = s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	_ = s.framer.WriteSettingsAck()
	s.headers(1, false, 0, loomtest.RequestFields("/s/first", "x-a", "one", "x-b", "two"))
	s.headers(3, false, 3, loomtest.RequestFields("/s/second", "x-a", "one", "x-long", strings.Repeat("long ", 20)))
	s.data(1, false, "a message that is longer than the window")
	s.data(3, true, "another one, which ends the stream")
	s.goOn(1, 3)
	s.enc.SetMaxDynamicTableSize(0)
	s.enc.SetMaxDynamicTableSize(300)
	s.headers(5, false, 1, loomtest.RequestFields("/s/third", "x-b", "two"))
	_ = s.framer.WriteRSTStream(5, http2.ErrCodeCancel)
	s.headers(7, true, 0, loomtest.RequestFields("/s/third", "x-b", "two"))
	s.headers(1, true, 2, loomtest.KV("x-trailer", "the end"))
	s.data(5, false, "late")
	for range 4 {
		s.goOn(1, 3, 7)
	}
	return s.Bytes()
}

// backendSays is a conversation of a backend that was asked three times.
func backendSays() []byte {
	s := newSpeaker()
	_ = s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	_ = s.framer.WriteSettingsAck()
	s.headers(3, false, 0, loomtest.KV(":status", "103", "x-a", "early"))
	s.headers(3, false, 2, loomtest.KV(":status", "200", "x-a", "one", "x-long", strings.Repeat("long ", 20)))
	s.data(3, false, "a message")
	s.goOn(1, 3, 5)
	s.headers(1, false, 0, loomtest.KV(":status", "200", "x-a", "one"))
	s.data(3, false, "another message")
	s.enc.SetMaxDynamicTableSize(100)
	s.headers(1, true, 1, loomtest.KV("grpc-status", "0", "x-a", "one"))
	s.headers(3, true, 0, loomtest.KV("grpc-status", "0", "x-a", "one"))
	for range 4 {
		s.goOn(1, 3, 5)
	}
	_ = s.framer.WriteGoAway(3, http2.ErrCodeNo, []byte("soon"))
	return s.Bytes()
}

// answering makes a leg answer with what it is told.
func answering(l *leg) {
	l.onHeaders = func(b *h2.Batch, kind h2.BlockKind, fields []h2.Field, end bool) {
		<-l.events
		if kind == h2.BlockTrailers {
			l.SendHeaders(b, fields, true)
			return
		}
		l.SendHeaders(b, append([]h2.Field{{Name: ":status", Value: "200"}}, fields[4:]...), end)
	}
	l.onData = func(b *h2.Batch, s *h2.Stream, p []byte, end bool) { l.Send(b, p, end, s) }
}

// telling returns what makes a leg note in said what it is told.
func telling(said map[uint32]string) func(*leg) {
	return func(l *leg) {
		note := func(format string, args ...any) { said[l.ID()] += fmt.Sprintf(format, args...) }
		l.onHeaders = func(_ *h2.Batch, kind h2.BlockKind, fields []h2.Field, end bool) {
			<-l.events
			note("headers %d %v %v\n", kind, fields, end)
		}
		l.onData = func(b *h2.Batch, s *h2.Stream, p []byte, end bool) {
			note("data %q %v\n", p, end)
			s.Discard(b, len(p))
		}
		l.onEnded = func(_ *h2.Batch, e h2.End) {
			<-l.events
			note("ended %d %v\n", e.Cause, e.Code)
		}
	}
}

// meaning says what frames mean, by stream: how bytes are cut into frames, and
// how headers are compressed, may differ.
func meaning(t *testing.T, wire []byte) map[uint32]string {
	t.Helper()
	frames, err := loomtest.ReadFrames(bytes.TrimPrefix(wire, []byte(http2.ClientPreface)))
	if err != nil {
		t.Fatalf("what was said is not HTTP/2: %v", err)
	}
	said, grants := make(map[uint32]string), make(map[uint32]uint32)
	var block []byte
	dec := hpack.NewDecoder(4096, nil)
	for _, f := range frames {
		note := func(format string, args ...any) { said[f.StreamID] += fmt.Sprintf(format, args...) }
		switch f.Type {
		case http2.FrameHeaders, http2.FrameContinuation:
			block = append(block, f.Payload...)
			if f.Flags&http2.FlagHeadersEndHeaders != 0 {
				fields, err := dec.DecodeFull(block)
				if err != nil {
					t.Fatalf("a header block that cannot be read: %v", err)
				}
				note("%v", fields)
				block = nil
			}
		case http2.FrameData:
			note("%s", f.Payload)
		case http2.FrameWindowUpdate:
			grants[f.StreamID] += binary.BigEndian.Uint32(f.Payload)
			continue
		default:
			note("%v %q", f.Type, f.Payload)
		}
		if f.Type <= http2.FrameHeaders && f.Flags&http2.FlagDataEndStream != 0 {
			note("END")
		}
	}
	for id, n := range grants {
		said[id] += fmt.Sprintf("granted %d", n)
	}
	return said
}

// conversation is one that is interrupted.
type conversation struct {
	name   string
	server bool
	says   []byte
}

func conversations() []conversation {
	return []conversation{{"caller", true, callerSays()}, {"backend", false, backendSays()}}
}

// play says all of it to a new connection, and returns what that said and what
// its streams were told. between is called after the first n bytes; a socket
// that takes only room bytes until then takes everything afterwards.
func (c *conversation) play(t *testing.T, n, room int, between func(*host, *served)) (said, told map[uint32]string) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		conn, peer := h.rawPipe()
		conn.SetWriteCapacity(room)
		told = make(map[uint32]string)
		s := h.serve(conn, c.server, answering)
		if !c.server {
			for i := range 3 {
				l := s.mustOpen(false, telling(told))
				l.send(bytes.Repeat([]byte{byte('a' + i)}, 100+i), i > 0)
			}
		}
		peer.write(c.says[:n])
		synctest.Wait()
		between(h, s)
		conn.SetWriteCapacity(1 << 30)
		peer.write(c.says[n:])
		synctest.Wait()
		wire := make([]byte, peer.conn.Unread())
		if _, err := io.ReadFull(peer.conn, wire); err != nil {
			t.Fatal(err)
		}
		said = meaning(t, wire)
		_ = peer.conn.Close()
		if err := s.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
	return said, told
}

// A connection that is written down after any byte that comes goes on as if
// nothing had been.
func TestThawAtEveryByteThatComes(t *testing.T) {
	for _, c := range conversations() {
		t.Run(c.name, func(t *testing.T) {
			said, told := c.play(t, 0, 1<<30, func(*host, *served) {})
			for n := range len(c.says) + 1 {
				gotSaid, gotTold := c.play(t, n, 1<<30, func(h *host, s *served) { h.rebirth(s) })
				wantEqual(t, n, said, gotSaid)
				wantEqual(t, n, told, gotTold)
			}
		})
	}
}

// The same for any byte that goes out.
func TestThawAtEveryByteThatGoes(t *testing.T) {
	for _, c := range conversations() {
		t.Run(c.name, func(t *testing.T) {
			said, told := c.play(t, len(c.says), 1<<30, func(*host, *served) {})
			for room := range 900 {
				gotSaid, gotTold := c.play(t, len(c.says), room, func(h *host, s *served) { h.rebirth(s) })
				wantEqual(t, room, said, gotSaid)
				wantEqual(t, room, told, gotTold)
			}
		})
	}
}

func wantEqual(t *testing.T, n int, want, got map[uint32]string) {
	t.Helper()
	if maps.Equal(want, got) {
		return
	}
	for id := range want {
		if want[id] != got[id] {
			t.Fatalf("after %d bytes stream %d differs:\n%s\nwant:\n%s", n, id, got[id], want[id])
		}
	}
	t.Fatalf("after %d bytes there are other streams: %v, want %v", n, got, want)
}
