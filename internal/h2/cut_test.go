package h2_test

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

func (s *served) drainNow() { do(s.DrainNow) }

// Whatever step a drain has come to, DrainNow says the last word, once: calls
// that are open go on, and none begins any more.
func TestDrainNow(t *testing.T) {
	tests := []struct {
		name    string
		before  func(s *served, down *loomtest.Downstream)
		goAways int // that came before
	}{
		{"no drain yet", func(*served, *loomtest.Downstream) {}, 0},
		{"between the two GOAWAY frames", func(s *served, down *loomtest.Downstream) {
			s.drain()
			down.WantGoAway(http2.ErrCodeNo)
		}, 1},
		{"after the last", func(s *served, down *loomtest.Downstream) {
			s.drain()
			down.WantGoAway(http2.ErrCodeNo)
			down.PingAck(down.WantPing())
			if got := down.WantGoAway(http2.ErrCodeNo); got.LastStreamID != 1 {
				t.Errorf("the last GOAWAY says stream %d", got.LastStreamID)
			}
		}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t)
				s, down := h.downstream(nil, loomtest.Without(loomtest.AutoPingAck))
				id := down.Open("/s/m")
				l := s.leg()
				l.want("headers")
				tt.before(s, down)
				start := time.Now()
				s.drainNow()
				s.drainNow()
				for i := tt.goAways; i < 2; i++ {
					want := []uint32{anyStream, id}[i]
					if got := down.WantGoAway(http2.ErrCodeNo); got.LastStreamID != want {
						t.Errorf("GOAWAY %d says stream %d, want %d", i+1, got.LastStreamID, want)
					}
				}
				wantAt(t, "said to be the last", start, 0)
				late := down.Open("/s/late")
				down.WantNothing(time.Minute) // no GOAWAY when the PING is overdue either
				if len(s.legs) != 0 {
					t.Errorf("stream %d was served", late)
				}
				down.RawData(id, []byte("x"), true)
				l.want("data")
				l.headers(true, ":status", "200", "grpc-status", "0")
				down.WantStatus(id, 0)
				down.WantClosed()
				if err := s.wantEnd(); err != nil {
					t.Errorf("Serve returned %v", err)
				}
			})
		})
	}
}

// Without calls the connection ends at once, and the peer gets to read why.
func TestDrainNowWithoutStreams(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, down := h.downstream(nil, loomtest.Without(loomtest.AutoPingAck))
		down.WantSettings()
		start := time.Now()
		s.drainNow()
		for _, want := range []uint32{anyStream, 0} {
			if got := down.WantGoAway(http2.ErrCodeNo); got.LastStreamID != want {
				t.Errorf("GOAWAY says stream %d, want %d", got.LastStreamID, want)
			}
		}
		down.WantClosed()
		wantAt(t, "closed", start, 0)
		down.Close()
		if err := s.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
}

// One that has said nothing yet is told so, too; and the side that opens
// streams has no GOAWAY to say.
func TestDrainNowOfOthers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		conn, peer := h.rawPipe()
		s := h.serve(conn, true, nil)
		s.drainNow()
		if got := of(http2.FrameGoAway, peer.frames()); len(got) != 1 {
			t.Errorf("%d GOAWAY frames, want 1", len(got))
		}
		_ = peer.conn.Close()
		if err := s.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}

		up, backend := h.upstream()
		synctest.Wait()
		l := up.mustOpen(false)
		id, _ := backend.WantCall()
		up.drainNow()
		backend.WantNothing(time.Minute)
		if got := up.Receivers(); len(got) != 1 || got[0] != h2.Receiver(l) {
			t.Errorf("the receivers are %v", got)
		}
		l.send(nil, true)
		backend.WantEnd(id)
		backend.Reply(id, nil)
		backend.WantClosed()
		if err := up.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
}

// A drain goes on where it was when the connection is written down between
// its steps: what is opened in time is served, the ACK brings the last GOAWAY,
// and the connection ends with its last call.
func TestThawInTheMiddleOfADrain(t *testing.T) {
	twice(t, func(t *testing.T, again func(*host, ...*served)) {
		h := newHost(t)
		s, down := h.downstream(nil, loomtest.Without(loomtest.AutoPingAck))
		down.Open("/s/m")
		first := s.leg()
		first.want("headers")
		s.drain()
		down.WantGoAway(http2.ErrCodeNo)
		ping := down.WantPing()
		again(h, s)
		last := down.Open("/s/m")
		second := s.leg()
		second.want("headers")
		again(h, s)
		down.PingAck(ping)
		if got := down.WantGoAway(http2.ErrCodeNo); got.LastStreamID != last {
			t.Errorf("the last GOAWAY says stream %d, want %d", got.LastStreamID, last)
		}
		again(h, s)
		down.Open("/s/late")
		for id, l := range map[uint32]*leg{1: first, last: second} {
			l.headers(true, ":status", "200", "grpc-status", "0")
			down.WantStatus(id, 0)
			do(func(b *h2.Batch) { l.ResetAfter(b, h2.CodeNo) })
			down.WantReset(id, http2.ErrCodeNo)
		}
		down.WantClosed()
		if err := s.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
		if len(s.legs) != 0 {
			t.Error("a stream was served after the last GOAWAY")
		}
	})
}

// A peer that leaves its socket full gets no more than the bound: the last
// GOAWAY is not waited for.
func TestDrainNowOfAFullSocket(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		conn, peer := h.rawPipe()
		s := h.serve(conn, true, nil)
		peer.greet()
		peer.frames()
		conn.SetWriteCapacity(0)
		start := time.Now()
		s.drainNow()
		if err := s.wantEnd(); err != nil {
			t.Errorf("Serve returned %v", err)
		}
		wantAt(t, "closed", start, h.opts.Limits.Linger)
		_ = peer.conn.Close()
	})
}
