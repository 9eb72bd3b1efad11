package h2_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

const anyStream = 1<<31 - 1

func (s *served) drain() { do(s.Drain) }

// The peer is told first that the connection ends, and then, when all that it
// had under way has come, which stream was the last.
func TestDrainInTwoPhases(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, down := h.downstream(nil, loomtest.Without(loomtest.AutoPingAck))
		first := down.Unary("/s/m", nil)
		l := s.leg()
		l.want("headers")
		s.drain()
		if s.Usable() {
			t.Error("a connection that drains is usable")
		}
		if got := down.WantGoAway(http2.ErrCodeNo); got.LastStreamID != anyStream {
			t.Errorf("the first GOAWAY says stream %d", got.LastStreamID)
		}
		ping := down.WantPing()
		// Opened before the caller heard of it: it is served.
		second := down.Unary("/s/m", nil)
		l2 := s.leg()
		l2.want("headers")
		down.PingAck([8]byte{1}) // of some other PING
		down.WantNothing(time.Second)
		down.PingAck(ping)
		if got := down.WantGoAway(http2.ErrCodeNo); got.LastStreamID != second {
			t.Errorf("the last GOAWAY says stream %d, want %d", got.LastStreamID, second)
		}
		down.PingAck(ping) // once is enough
		down.WantNothing(time.Hour)
		for id, l := range map[uint32]*leg{first: l, second: l2} {
			l.headers(true, ":status", "200", "grpc-status", "0")
			down.WantStatus(id, 0)
		}
		down.WantClosed()
		if err := s.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
}

func TestDrainWithoutAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, down := h.downstream(nil, loomtest.Without(loomtest.AutoPingAck))
		id := down.Unary("/s/m", nil)
		l := s.leg()
		l.want("headers")
		s.drain()
		s.drain() // twice is no harm
		start := time.Now()
		down.WantGoAway(http2.ErrCodeNo)
		if got := down.WantGoAway(http2.ErrCodeNo); got.LastStreamID != id {
			t.Errorf("the last GOAWAY says stream %d, want %d", got.LastStreamID, id)
		}
		wantAt(t, "said to be the last", start, 5*time.Second)
		l.headers(true, ":status", "200", "grpc-status", "0")
		down.WantStatus(id, 0)
		down.WantClosed()
		if err := s.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
}

// What comes on streams above the last GOAWAY is ignored, and does no harm to
// the others (RFC 9113, section 6.8).
func TestStreamsAfterTheLastGoAway(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, down := h.downstream(nil)
		id := down.Open("/s/m")
		l := s.leg()
		l.want("headers")
		s.drain()
		down.WantGoAway(http2.ErrCodeNo)
		down.WantGoAway(http2.ErrCodeNo)

		late := down.Open("/s/late", "x", "this goes into the table")
		down.RawData(late, make([]byte, 60000), false)
		down.WindowUpdate(late, 1)
		down.HeaderBlock(late, true, loomtest.KV("x", "trailers"))
		down.Reset(late, http2.ErrCodeCancel)
		later := down.Open("/s/late")
		down.RawData(later, make([]byte, 1000), true)
		synctest.Wait()
		if len(s.legs) != 0 {
			t.Error("a stream was opened after the last GOAWAY")
		}
		// The window that the ignored bytes took comes back, and header blocks
		// are still understood.
		down.WantWindowUpdate(0, 1)
		down.RawData(id, []byte("abc"), false)
		if got := l.want("data"); string(got.data) != "abc" {
			t.Errorf("got %q", got.data)
		}
		down.HeaderBlock(id, true, loomtest.KV("x", "this goes into the table"))
		if got := l.want("headers"); got.fields.Get("x") != "this goes into the table" {
			t.Errorf("got %v", got.fields)
		}
		l.headers(true, ":status", "200", "grpc-status", "0")
		down.WantStatus(id, 0)
		down.WantClosed()
		if err := s.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
}

func TestDrainWithoutStreams(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, down := h.downstream(nil)
		down.WantSettings()
		synctest.Wait()
		s.drain()
		down.WantGoAway(http2.ErrCodeNo)
		if got := down.WantGoAway(http2.ErrCodeNo); got.LastStreamID != 0 {
			t.Errorf("the last GOAWAY says stream %d", got.LastStreamID)
		}
		down.WantClosed()
		down.Close()
		if err := s.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
}

// A caller that has not said anything yet is told all the same, with what
// makes it HTTP/2.
func TestDrainBeforeThePreface(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		conn, peer := h.rawPipe()
		s := h.serve(conn, true, nil)
		synctest.Wait()
		s.drain()
		frames := peer.frames()
		if len(frames) == 0 || frames[0].Type != http2.FrameSettings || len(of(http2.FrameGoAway, frames)) != 1 {
			t.Errorf("got %v, want SETTINGS and GOAWAY", frames)
		}
		_ = peer.conn.Close()
		if err := s.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
}

func TestDrainOfTheOpeningSide(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, up := h.upstream()
		l := s.mustOpen(true)
		id, _ := up.WantCall()
		up.WantEnd(id)
		s.drain()
		if _, err := s.open(true); !errors.Is(err, h2.ErrDraining) {
			t.Errorf("Open returned %v, want ErrDraining", err)
		}
		if s.Usable() {
			t.Error("a connection that drains is usable")
		}
		up.WantNothing(time.Hour)
		up.Reply(id, []byte("x"))
		up.WantClosed()
		if err := s.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
		l.want("headers")
		l.want("data")
		l.want("headers")
		l.wantNothing()
	})
}

func TestDrainOfTheOpeningSideWithoutStreams(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, up := h.upstream()
		synctest.Wait()
		s.drain()
		up.WantClosed()
		up.Close()
		if err := s.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
		s.drain() // afterwards it is no harm
	})
}

// The peer's GOAWAY ends what it did not take, and nothing else.
func TestGoAwayOfThePeer(t *testing.T) {
	tests := []struct {
		name string
		code http2.ErrCode
	}{{"in order", http2.ErrCodeNo}, {"with an error", http2.ErrCodeEnhanceYourCalm}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t)
				s, up := h.upstream()
				taken := s.mustOpen(true)
				refused := []*leg{s.mustOpen(true), s.mustOpen(false)}
				id, _ := up.WantCall()
				s.changedNow()
				up.GoAway(anyStream, tt.code, "soon")
				synctest.Wait()
				if !s.changedNow() || s.Usable() {
					t.Error("the owner does not hear of GOAWAY")
				}
				if _, err := s.open(true); !errors.Is(err, h2.ErrDraining) {
					t.Errorf("Open returned %v, want ErrDraining", err)
				}
				taken.wantNothing()
				refused[0].wantNothing()

				up.GoAway(id, tt.code, "now")
				for _, l := range refused {
					l.wantEnded(h2.CauseRefused)
				}
				taken.wantNothing()
				up.Reply(id, []byte("x"))
				taken.want("headers")
				taken.want("data")
				if e := taken.want("headers"); !e.end {
					t.Error("no trailers")
				}
				up.WantClosed()
				if err := s.wantEnd(); err != nil {
					t.Errorf("Serve returned %v", err)
				}
			})
		})
	}
}

// A GOAWAY without streams ends the connection.
func TestGoAwayOfAnIdlePeer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, up := h.upstream()
		up.GoAway(0, http2.ErrCodeNo, "")
		up.WantClosed()
		up.Close()
		if err := s.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
		if !s.changedNow() {
			t.Error("the owner does not hear of it")
		}
	})
}

// After the last frame the connection waits for the peer's end, so that the
// peer gets to read it, but not for ever.
func TestLinger(t *testing.T) {
	tests := []struct {
		name string
		then func(p *rawPeer)
		want time.Duration
	}{
		{"a peer that closes", func(p *rawPeer) { _ = p.conn.Close() }, 0},
		{"a peer that half-closes", func(p *rawPeer) { _ = p.conn.CloseWrite() }, 0},
		{"a peer that stays", func(*rawPeer) {}, time.Second},
		{"a peer that goes on sending", func(p *rawPeer) {
			for range 20 {
				time.Sleep(100 * time.Millisecond)
				if _, err := p.conn.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		}, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t)
				conn, peer := h.rawPipe()
				s := h.serve(conn, true, nil)
				start := time.Now()
				peer.greet()
				peer.frame(http2.FrameData, 0, 0, nil) // a fault
				// What is under way when the connection ends must not destroy its
				// last frame.
				peer.write(make([]byte, 100000))
				frames := peer.frames()
				if last := frames[len(frames)-1]; last.Type != http2.FrameGoAway {
					t.Errorf("the last frame is %v", last)
				}
				var then sync.WaitGroup
				then.Go(func() { tt.then(peer) })
				<-s.ended
				wantAt(t, "closed", start, tt.want)
				then.Wait()
				var fault *h2.ConnError
				if !errors.As(s.err, &fault) || fault.Code != h2.CodeProtocol {
					t.Errorf("Serve returned %v", s.err)
				}
				_ = peer.conn.Close()
			})
		})
	}
}

// A peer that reads nothing cannot hold up the end.
func TestLingerWithoutRoom(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		conn, peer := h.rawPipe()
		s := h.serve(conn, true, nil)
		peer.greet()
		peer.frames()
		conn.SetWriteCapacity(0)
		start := time.Now()
		s.drain()
		synctest.Wait()
		s.Close()
		if err := s.wantEnd(); !errors.Is(err, h2.ErrClosed) {
			t.Errorf("Serve returned %v", err)
		}
		wantAt(t, "closed", start, 0)

		conn, peer = h.rawPipe()
		s = h.serve(conn, true, nil)
		peer.greet()
		peer.frames()
		conn.SetWriteCapacity(0)
		peer.frame(http2.FrameData, 0, 0, nil) // a fault
		<-s.ended
		wantAt(t, "closed", start, time.Second)
		_ = peer.conn.Close()
	})
}
