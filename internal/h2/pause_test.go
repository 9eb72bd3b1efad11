package h2_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// A connection that is paused neither reads nor writes, and goes on with both.
func TestPauseStopsBothDirections(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, down := h.downstream(nil)
		id := down.Open("/s/m")
		l := s.leg()
		l.want("headers")
		l.respond()
		down.WantHeaders(id)
		f := s.mustPause()
		down.RawData(id, []byte("question"), false)
		l.send([]byte("answer"), false)
		down.WantNothing(time.Minute)
		l.wantNothing()
		if _, err := s.Pause(t.Context()); !errors.Is(err, h2.ErrPaused) {
			t.Errorf("a second pause: %v, want ErrPaused", err)
		}
		if got := f.Streams(); len(got) != 1 || got[0] != id {
			t.Errorf("streams %v are open, want %d", got, id)
		}
		if err := f.Resume(); err != nil {
			t.Fatal(err)
		}
		if got := l.want("data").data; string(got) != "question" {
			t.Errorf("got %q", got)
		}
		if got := down.WantBytes(id, 6); string(got) != "answer" {
			t.Errorf("got %q", got)
		}
		if err := f.Resume(); !errors.Is(err, h2.ErrClosed) {
			t.Errorf("Resume for a second time: %v", err)
		}
		if _, err := f.Marshal(nil); !errors.Is(err, h2.ErrClosed) {
			t.Errorf("Marshal afterwards: %v", err)
		}
		if _, err := f.Detach(); !errors.Is(err, h2.ErrClosed) {
			t.Errorf("Detach afterwards: %v", err)
		}
	})
}

// Nobody can open a stream meanwhile, and whoever tried hears when it is over.
func TestPauseTakesNoStreams(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, up := h.upstream()
		synctest.Wait()
		f := s.mustPause()
		s.changedNow()
		if _, err := s.open(true); !errors.Is(err, h2.ErrFull) {
			t.Errorf("Open: %v, want ErrFull", err)
		}
		if s.changedNow() {
			t.Error("the owner is told too early")
		}
		if err := f.Resume(); err != nil {
			t.Fatal(err)
		}
		if !s.changedNow() {
			t.Error("the owner is not told")
		}
		s.mustOpen(true)
		up.WantCall()
	})
}

// A writer that waits for the socket stops, and what the socket did not take
// leaves afterwards.
func TestPauseStopsAWriter(t *testing.T) {
	twice(t, func(t *testing.T, again func(*host, ...*served)) {
		h := newHost(t)
		conn, peer := h.rawPipe()
		s := h.serve(conn, true, nil)
		peer.greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		peer.windowUpdate(0, 1<<20)
		peer.request(1, 0)
		l := s.leg()
		l.want("headers")
		l.respond()
		peer.frames()
		conn.SetWriteCapacity(1000)
		body := bytes.Repeat([]byte("0123456789abcdef"), 50000)
		l.send(body, true)
		for range 5 {
			synctest.Wait()
			again(h, s)
		}
		conn.SetWriteCapacity(1 << 30)
		var got []byte
		for _, f := range of(http2.FrameData, peer.frames()) {
			got = append(got, f.Payload...)
		}
		if !bytes.Equal(got, body) {
			t.Errorf("%d bytes came, of %d, or others", len(got), len(body))
		}
		if n := h.counters.Stalls.Load(); n != 0 {
			t.Error("a pause counts as a stall")
		}
		_ = peer.conn.Close()
	})
}

// A pause that cannot come about in time leaves no trace.
func TestPauseGivesUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		release := make(chan struct{})
		s, down := h.downstream(func(l *leg) {
			l.onHeaders = func(*h2.Batch, h2.BlockKind, []h2.Field, bool) { <-release }
		})
		id := down.Open("/s/m")
		l := s.leg()
		l.want("headers") // the reader is in the hands of the owner
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Pause(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Pause: %v", err)
		}
		close(release)
		down.RawData(id, []byte("x"), true)
		l.want("data")
		l.headers(true, ":status", "200", "grpc-status", "0")
		down.WantStatus(id, 0)
		h.rebirth(s) // the next one does
		down.Open("/s/m")
		s.leg()
	})
}

// Whatever ends a connection ends its pause.
func TestEndOfAPausedConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, down := h.downstream(nil)
		down.Open("/s/m")
		l := s.leg()
		l.want("headers")
		f := s.mustPause()
		s.Close()
		l.wantEnded(h2.CauseLost)
		if err := s.wantEnd(); !errors.Is(err, h2.ErrClosed) {
			t.Errorf("Serve returned %v", err)
		}
		if _, err := f.Marshal(nil); !errors.Is(err, h2.ErrClosed) {
			t.Errorf("Marshal: %v, want ErrClosed", err)
		}
		if _, err := s.Pause(t.Context()); !errors.Is(err, h2.ErrClosed) {
			t.Errorf("Pause: %v, want ErrClosed", err)
		}
		down.WantClosed()
	})
}

// A peer that goes during a pause is missed afterwards.
func TestPeerGoesDuringAPause(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		conn, peer := h.rawPipe()
		s := h.serve(conn, true, nil)
		peer.greet()
		peer.request(1, 0)
		l := s.leg()
		l.want("headers")
		f := s.mustPause()
		peer.frame(http2.FrameData, 0, 1, []byte("last words"))
		_ = peer.conn.CloseWrite()
		if err := f.Resume(); err != nil {
			t.Fatal(err)
		}
		if got := l.want("data").data; string(got) != "last words" {
			t.Errorf("got %q", got)
		}
		l.wantEnded(h2.CauseLost)
		if err := s.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
		_ = peer.conn.Close()
	})
}

// The socket of a connection that was given away is left alone.
func TestDetachedConnectionTouchesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		conn, peer := h.rawPipe()
		s := h.serve(conn, true, nil)
		peer.greet()
		peer.request(1, 0)
		l := s.leg()
		l.want("headers")
		l.respond()
		peer.frames()
		l.SetDeadline(time.Now().Add(time.Second))
		f := s.mustPause()
		l.send([]byte("queued"), false)
		s.changedNow()
		if _, err := f.Detach(); err != nil {
			t.Fatal(err)
		}
		if err := s.wantEnd(); !errors.Is(err, h2.ErrMoved) {
			t.Errorf("Serve returned %v", err)
		}
		if !s.changedNow() || s.Usable() {
			t.Error("the owner does not hear that it is gone")
		}
		l.send([]byte("late"), false)
		do(func(b *h2.Batch) { l.Reset(b, h2.CodeCancel) })
		s.drain()
		s.Close()
		time.Sleep(time.Hour)
		if got := peer.frames(); len(got) > 0 {
			t.Errorf("it said %v", got)
		}
		l.wantNothing()
		peer.write([]byte("for somebody else"))
		got := make([]byte, 17)
		if _, err := conn.Read(got); err != nil || string(got) != "for somebody else" {
			t.Errorf("read %q, %v", got, err)
		}
		_, _ = conn.Close(), peer.conn.Close()
	})
}

func TestSecureConnectionsAreNotPaused(t *testing.T) {
	h := newHost(t)
	near, far := tcpPair(t)
	client, server := secured(t, near, far, tls.VersionTLS13)
	s := h.serve(server, true, nil)
	down := loomtest.NewDownstream(t, client)
	if _, err := s.Pause(t.Context()); !errors.Is(err, h2.ErrSecure) {
		t.Errorf("Pause: %v, want ErrSecure", err)
	}
	if _, err := h2.Thaw(server, h.opts, heir{s}, nil); !errors.Is(err, h2.ErrSecure) {
		t.Errorf("Thaw: %v, want ErrSecure", err)
	}
	id := down.Unary("/s/m", nil)
	l := s.leg()
	l.want("headers")
	l.headers(true, ":status", "200", "grpc-status", "0")
	down.WantStatus(id, 0)
}

// stranger is an heir that knows no stream.
type stranger struct{ heir }

func (stranger) Stream(uint32) (*h2.Stream, h2.Receiver, int) { return nil, nil, 0 }

// What cannot be read whole is refused, and the connection goes on where it is.
func TestThawRefuses(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, down := h.downstream(nil)
		id := down.Open("/s/m")
		l := s.leg()
		l.want("headers")
		f := s.mustPause()
		blob, err := f.Marshal(nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range blob {
			for bit := range 8 {
				flipped := bytes.Clone(blob)
				flipped[i] ^= 1 << bit
				if _, err := h2.Thaw(s.NetConn(), h.opts, heir{s}, flipped); err == nil {
					t.Errorf("bit %d of byte %d does not matter", bit, i)
				}
			}
			if _, err := h2.Thaw(s.NetConn(), h.opts, heir{s}, blob[:i]); err == nil {
				t.Errorf("it may end after %d bytes", i)
			}
		}
		newer := bytes.Clone(blob[:len(blob)-4])
		newer[8]++ // the version
		_, err = h2.Thaw(s.NetConn(), h.opts, heir{s}, h2.Sealed(newer))
		if err == nil || !strings.Contains(err.Error(), "its form is 2") {
			t.Errorf("another version: %v", err)
		}
		if _, err := h2.Thaw(s.NetConn(), h.opts, stranger{heir{s}}, blob); err == nil || !strings.Contains(err.Error(), "stream 1") {
			t.Errorf("a stream that nobody knows: %v", err)
		}
		if err := f.Resume(); err != nil {
			t.Fatal(err)
		}
		down.RawData(id, []byte("x"), true)
		l.want("data")
		l.headers(true, ":status", "200", "grpc-status", "0")
		down.WantStatus(id, 0)
	})
}

// Pauses come at any time while several goroutines send and streams come and go.
func TestPauseUnderLoad(t *testing.T) {
	socketsOf(t, []string{"tcp", "unix"}, func(t *testing.T, pair func() (net.Conn, net.Conn)) {
		h := newHost(t)
		near, far := pair()
		up := h.serve(near, false, nil)
		back := h.serve(far, true, func(l *leg) {
			l.onHeaders = func(b *h2.Batch, kind h2.BlockKind, fields []h2.Field, end bool) {
				<-l.events
				l.SendHeaders(b, []h2.Field{{Name: ":status", Value: "200"}}, false)
			}
			l.onData = func(b *h2.Batch, s *h2.Stream, p []byte, end bool) { l.Send(b, p, end, s) }
		})
		within(t, "the backend's SETTINGS are not read", up.Settled)
		done := make(chan struct{})
		for i := range 4 {
			go callOver(t, up, byte(i), 50, done)
		}
		for calls := 4; calls > 0; {
			select {
			case <-done:
				calls--
			default:
				up.pauseAndResume()
				back.pauseAndResume()
			}
		}
		up.Close()
		_, _ = up.wantEnd(), back.wantEnd()
	})
}

// callOver makes n calls, one after the other, and compares what comes back.
func callOver(t *testing.T, up *served, seed byte, n int, done chan<- struct{}) {
	defer func() { done <- struct{}{} }()
	body := bytes.Repeat([]byte{seed, 1, 2, 3, 5, 8, 13}, 30000)
	for range n {
		var got []byte
		over := make(chan struct{})
		setup := func(l *leg) {
			l.onHeaders = func(*h2.Batch, h2.BlockKind, []h2.Field, bool) { <-l.events }
			l.onData = func(b *h2.Batch, s *h2.Stream, p []byte, end bool) {
				got = append(got, p...)
				s.Discard(b, len(p))
				if end {
					close(over)
				}
			}
		}
		l, err := up.open(false, setup)
		for errors.Is(err, h2.ErrFull) {
			time.Sleep(time.Millisecond)
			l, err = up.open(false, setup)
		}
		if err != nil {
			t.Errorf("open: %v", err)
			return
		}
		l.send(body, true)
		select {
		case <-over:
		case <-time.After(time.Minute):
			t.Error("a call does not end")
			return
		}
		if !bytes.Equal(got, body) {
			t.Error("what came back is not what was sent")
		}
	}
}

// fresh is an heir in another process: it has memory of its own.
type fresh struct{ *served }

func (f fresh) Stream(uint32) (*h2.Stream, h2.Receiver, int) {
	l := newLeg(f.t)
	f.keep(l)
	return &l.Stream, l, 0
}

// As between two processes: the connection is thawed while the first one still
// has it. If nobody goes on with what was thawed, nothing has happened; else
// the first one lets go before the other begins.
func TestHandOver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, down := h.downstream(nil)
		id := down.Open("/s/m")
		l := s.leg()
		l.want("headers")
		down.RawData(id, []byte("one"), false)
		l.want("data")
		successor := &served{
			t: t, legs: make(chan *leg, 10), changed: make(chan struct{}, 10),
		}
		thaw := func(f *h2.Frozen) *h2.Thawed {
			t.Helper()
			blob, err := f.Marshal(nil)
			if err != nil {
				t.Fatal(err)
			}
			thawed, err := h2.Thaw(s.NetConn(), h.opts, fresh{successor}, blob)
			if err != nil {
				t.Fatal(err)
			}
			return thawed
		}

		f := s.mustPause()
		down.RawData(id, []byte("two"), false)
		thaw(f) // and the successor dies
		if err := f.Resume(); err != nil {
			t.Fatal(err)
		}
		if got := l.want("data").data; string(got) != "two" {
			t.Errorf("got %q", got)
		}

		f = s.mustPause()
		down.RawData(id, []byte("three"), true)
		successor.Conn = thaw(f).Conn
		if _, err := f.Detach(); err != nil {
			t.Fatal(err)
		}
		if err := s.wantEnd(); !errors.Is(err, h2.ErrMoved) {
			t.Errorf("Serve returned %v", err)
		}
		successor.run()
		heir := successor.born[1]
		if got := heir.want("data").data; string(got) != "three" {
			t.Errorf("got %q", got)
		}
		l.wantNothing()
		heir.headers(true, ":status", "200", "grpc-status", "0")
		down.WantStatus(id, 0)
		down.Close()
		_ = successor.wantEnd()
	})
}

// A peer may go at any moment of a pause: either the connection is written
// down before it is missed, or there is nothing to write down.
func TestPeerGoesAtAnyMoment(t *testing.T) {
	socketsOf(t, []string{"tcp", "unix"}, func(t *testing.T, pair func() (net.Conn, net.Conn)) {
		paused := 0
		for i := range 200 {
			h := newHost(t)
			near, far := pair()
			s := h.serve(near, true, nil)
			mustWrite(t, far, greetCaller(), requestBytes(1))
			l := s.leg()
			l.want("headers")
			l.respond()
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				l.send(make([]byte, 1000*i), false)
				_ = far.Close()
			}()
			f, err := s.Pause(t.Context())
			if err == nil {
				paused++
				_, err = f.Marshal(nil)
			}
			if err == nil {
				err = f.Resume()
			}
			if err != nil && !errors.Is(err, h2.ErrClosed) {
				t.Error(err)
			}
			<-gone
			l.wantEnded(h2.CauseLost)
			_ = s.wantEnd()
		}
		if paused == 0 {
			t.Error("no connection was paused in time")
		}
	})
}
