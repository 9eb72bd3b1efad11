package h2_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// fuzzMode is how a connection under test is played; bits of it.
type fuzzMode uint8

const (
	fuzzOpening fuzzMode = 1 << iota // the side that opens streams; else the one that accepts them
	fuzzPieces                       // the bytes come in small pieces
	fuzzGreeted                      // preface, SETTINGS and ACK come before
	fuzzAnswer                       // requests are answered at once; else they are echoed
	fuzzStays                        // the peer does not close its side
	fuzzBlind                        // the peer reads nothing until the end
)

// FuzzFrames feeds a connection with anything at all: it must neither panic
// nor hang, it must say nothing but HTTP/2, and it must leave nothing behind.
func FuzzFrames(f *testing.F) {
	rng := rand.New(rand.NewPCG(5, 0))
	for i := range 30 {
		wire := loomtest.Wire(loomtest.NewGenerator(rng).Frames(15))
		if i%2 == 0 {
			wire = loomtest.Mutate(rng, wire)
		}
		f.Add(uint8(fuzzGreeted)^uint8(i), wire)
	}
	for _, wire := range responses() {
		f.Add(uint8(fuzzOpening|fuzzGreeted), wire)
		f.Add(uint8(fuzzOpening|fuzzGreeted|fuzzPieces|fuzzStays), loomtest.Mutate(rng, wire))
	}
	f.Add(uint8(0), []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add(uint8(fuzzOpening), []byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, mode uint8, wire []byte) {
		synctest.Test(t, func(t *testing.T) { playFrames(t, fuzzMode(mode), wire) })
	})
}

// responses are what a backend may say to three requests.
func responses() [][]byte {
	const endHeaders, endStream = http2.FlagHeadersEndHeaders, http2.FlagHeadersEndStream
	frame := loomtest.FrameBytes
	headers := []byte{0x88, 0x0f, 0x10, 0x10, 'a', 'p', 'p', 'l', 'i', 'c', 'a', 't', 'i', 'o', 'n', '/', 'g', 'r', 'p', 'c'}
	trailers := []byte("\x00\x0bgrpc-status\x010")
	reply := bytes.Join([][]byte{
		frame(http2.FrameHeaders, endHeaders, 1, headers),
		frame(http2.FrameData, 0, 1, loomtest.Message([]byte("answer"))),
		frame(http2.FrameHeaders, endHeaders|endStream, 1, trailers),
	}, nil)
	return [][]byte{
		reply,
		append(frame(http2.FrameHeaders, endHeaders, 1, []byte("\x08\x03103")), reply...),
		append(frame(http2.FrameGoAway, 0, 0, []byte{0, 0, 0, 1, 0, 0, 0, 0}), reply...),
		append(frame(http2.FrameRSTStream, 0, 3, []byte{0, 0, 0, 7}), reply...),
		append(frame(http2.FrameSettings, 0, 0, []byte{0, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 5}), reply...),
		append(frame(http2.FrameWindowUpdate, 0, 1, []byte{0, 0, 0, 9}), reply...),
		frame(http2.FramePushPromise, endHeaders, 1, []byte{0, 0, 0, 2, 0x88}),
		frame(http2.FramePing, 0, 0, []byte("12345678")),
	}
}

func playFrames(t *testing.T, mode fuzzMode, wire []byte) {
	h := newHost(t)
	end, peer := h.rawPipe()
	if mode&fuzzBlind != 0 {
		end.SetWriteCapacity(50)
	}
	owner := &fuzzOwner{answer: mode&fuzzAnswer != 0}
	var conn *h2.Conn
	if mode&fuzzOpening != 0 {
		conn = h2.NewClient(end, h.opts, owner)
	} else {
		conn = h2.NewServer(end, h.opts, owner)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = conn.Serve()
	}()
	// The peer may be cut off at any time, which is no failure.
	say := func(p []byte) { _, _ = peer.conn.Write(p) }
	if mode&fuzzGreeted != 0 {
		if mode&fuzzOpening == 0 {
			say([]byte(http2.ClientPreface))
		}
		say(loomtest.FrameBytes(http2.FrameSettings, 0, 0, nil))
		say(loomtest.FrameBytes(http2.FrameSettings, http2.FlagSettingsAck, 0, nil))
	}
	if mode&fuzzOpening != 0 {
		owner.open(conn)
	}
	piece := len(wire)
	if mode&fuzzPieces != 0 {
		piece = 7
	}
	for len(wire) > 0 {
		n := min(piece, len(wire))
		say(wire[:n])
		wire = wire[n:]
		synctest.Wait()
	}
	if mode&fuzzStays == 0 {
		_ = peer.conn.CloseWrite()
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	said := make([]byte, peer.conn.Unread())
	_, _ = io.ReadFull(peer.conn, said)
	conn.Close()
	select {
	case <-ended:
	case <-time.After(time.Hour):
		t.Error("the connection does not end")
		_ = peer.conn.Close()
	}
	_ = peer.conn.Close()
	if mode&fuzzBlind == 0 {
		wantHTTP2(t, said)
	}
	owner.wantAllEnded(t)
}

// wantHTTP2 fails if what was said is neither HTTP/2 nor the answer to who
// does not speak it.
func wantHTTP2(t *testing.T, said []byte) {
	t.Helper()
	if bytes.HasPrefix(said, []byte("HTTP/1.1 415 ")) {
		return
	}
	if _, err := loomtest.ReadFrames(bytes.TrimPrefix(said, []byte(http2.ClientPreface))); err != nil {
		t.Errorf("what is said is not HTTP/2: %v\n%q", err, said)
	}
}

// fuzzOwner makes streams that answer, or echo, and keeps the books of calls.
type fuzzOwner struct {
	answer bool

	mu   sync.Mutex
	legs []*fuzzLeg
}

type fuzzLeg struct {
	h2.Stream
	owner  *fuzzOwner
	opened bool
	held   int // bytes that came in before its connection was written down

	// Guarded by owner.mu.
	ends  int
	after string // what came after the end
}

func (o *fuzzOwner) leg(opened bool) *fuzzLeg {
	l := &fuzzLeg{owner: o, opened: opened}
	o.mu.Lock()
	o.legs = append(o.legs, l)
	o.mu.Unlock()
	return l
}

func (o *fuzzOwner) Accept(*h2.Batch, *h2.Conn) (*h2.Stream, h2.Receiver) {
	l := o.leg(false)
	return &l.Stream, l
}

func (o *fuzzOwner) Changed(*h2.Batch, *h2.Conn) {}

// open opens three streams: complete, with a body, with trailers after it.
func (o *fuzzOwner) open(c *h2.Conn) {
	b := h2.NewBatch()
	defer b.Flush()
	for i := range 3 {
		l := o.leg(true)
		fields := []h2.Field(loomtest.RequestFields("/s/m"))
		if err := c.Open(b, &l.Stream, l, fields, i == 0); err != nil {
			l.opened = false
			continue
		}
		if i > 0 {
			l.Send(b, make([]byte, 40000*i), i == 1, nil)
		}
		if i == 2 {
			l.SendHeaders(b, loomtest.KV("x", "y"), true)
		}
	}
}

// wantAllEnded checks that no stream was told twice of its end, or of
// anything afterwards.
func (o *fuzzOwner) wantAllEnded(t *testing.T) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.legs {
		if l.ends > 1 {
			t.Errorf("stream %d ended %d times", l.ID(), l.ends)
		}
		if l.after != "" {
			t.Errorf("stream %d got %s after its end", l.ID(), l.after)
		}
	}
}

func (l *fuzzLeg) came(what string) {
	l.owner.mu.Lock()
	defer l.owner.mu.Unlock()
	if l.ends > 0 {
		l.after = what
	}
}

func (l *fuzzLeg) Headers(b *h2.Batch, kind h2.BlockKind, _ []h2.Field, end bool) {
	l.came("headers")
	switch {
	case l.opened:
	case kind == h2.BlockTrailers:
		l.SendHeaders(b, []h2.Field{{Name: "grpc-status", Value: "0"}}, true)
	case l.owner.answer:
		l.SendHeaders(b, []h2.Field{{Name: ":status", Value: "200"}, {Name: "grpc-status", Value: "0"}}, true)
		if !end {
			l.ResetAfter(b, h2.CodeNo)
		}
	default:
		l.SendHeaders(b, []h2.Field{{Name: ":status", Value: "200"}}, end)
	}
}

func (l *fuzzLeg) Data(b *h2.Batch, s *h2.Stream, p []byte, end bool) {
	l.came("data")
	if l.opened {
		s.Discard(b, len(p))
		return
	}
	l.Send(b, p, end, s)
}

func (l *fuzzLeg) Ended(*h2.Batch, h2.End) {
	l.came("another end")
	l.owner.mu.Lock()
	l.ends++
	l.owner.mu.Unlock()
}

func (l *fuzzLeg) Expired(*h2.Batch) { l.came("its deadline") }
