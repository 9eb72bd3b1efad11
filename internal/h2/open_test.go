package h2_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// openAll opens streams until the connection takes no more.
func (s *served) openAll() (legs []*leg) {
	s.t.Helper()
	for {
		l, err := s.open(true)
		switch {
		case errors.Is(err, h2.ErrFull):
			return legs
		case err != nil:
			s.t.Fatal(err)
		}
		legs = append(legs, l)
	}
}

// Until the peer has said how many streams it allows, few are opened.
func TestOpenBeforeSettings(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		conn, peer := h.rawPipe()
		s := h.serve(conn, false, nil)
		if got := len(s.openAll()); got != 100 {
			t.Errorf("%d streams before SETTINGS, want 100", got)
		}
		s.changedNow()
		peer.answerGreeting() // no limit
		synctest.Wait()
		if !s.changedNow() {
			t.Error("the owner does not hear of the new limit")
		}
		for range 200 {
			s.mustOpen(true)
		}
		_ = peer.conn.Close()
	})
}

func TestOpenUpToTheLimit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		most := func(n uint32) http2.Setting { return http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: n} }
		s, up := h.upstream(loomtest.WithSettings(most(3)))
		synctest.Wait()
		legs := s.openAll()
		if len(legs) != 3 {
			t.Fatalf("%d streams, the peer allows 3", len(legs))
		}
		full := func(want bool, after string) {
			t.Helper()
			synctest.Wait()
			if called := s.changedNow(); called == want {
				t.Errorf("after %s the owner heard of it: %v", after, called)
			}
			if got := len(s.openAll()) == 0; got != want {
				t.Errorf("after %s the connection is full: %v", after, got)
			}
		}
		s.changedNow()
		full(true, "nothing")
		for range 3 {
			up.WantCall()
		}
		up.TrailersOnly(1, 0)
		full(false, "an answer")
		full(true, "another stream")
		up.Reset(3, http2.ErrCodeCancel)
		full(false, "a reset of the peer")
		do(func(b *h2.Batch) { legs[2].Reset(b, h2.CodeCancel) })
		full(false, "a reset of ours")
		up.Settings(most(2))
		synctest.Wait()
		s.changedNow()
		full(true, "a lower limit")
		up.Settings(most(4))
		full(false, "a higher limit")
		if got := s.Streams(); got != 4 {
			t.Errorf("%d streams are open, want 4", got)
		}
		up.Settings(most(0))
		synctest.Wait()
		s.changedNow()
		full(true, "a limit of nothing")
	})
}

// Who does not ask is not told: streams that end are no news to an owner that
// has had room all the time.
func TestChangedOnlyWhenWanted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, up := h.upstream()
		synctest.Wait()
		s.changedNow()
		for range 10 {
			s.mustOpen(true)
			id, _ := up.WantCall()
			up.TrailersOnly(id, 0)
		}
		synctest.Wait()
		if s.changedNow() {
			t.Error("the owner was called in vain")
		}
	})
}

// A connection whose socket takes nothing is full as well, and no stream has
// to end for it to have room again.
func TestOpenOnAStuckSocket(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, limits(func(l *h2.Limits) { l.Outbox = 2000 }))
		conn, peer := h.rawPipe()
		s := h.serve(conn, false, nil)
		peer.answerGreeting()
		peer.frames()
		conn.SetWriteCapacity(0)
		legs := s.openAll()
		for _, l := range legs {
			do(func(b *h2.Batch) { l.Reset(b, h2.CodeCancel) })
		}
		synctest.Wait()
		s.changedNow()
		if got := len(s.openAll()); got != 0 || s.Streams() != 0 {
			t.Fatalf("%d streams opened, %d are open", got, s.Streams())
		}
		conn.SetWriteCapacity(1 << 30)
		synctest.Wait()
		if !s.changedNow() {
			t.Error("the owner does not hear that the socket takes bytes again")
		}
		s.mustOpen(true)
		_ = peer.conn.Close()
	})
}

func TestOpenAfterTheEnd(t *testing.T) {
	ends := map[string]func(s *served, up *loomtest.Upstream){
		"closed":       func(s *served, _ *loomtest.Upstream) { s.Close() },
		"cut":          func(_ *served, up *loomtest.Upstream) { up.Cut() },
		"closed there": func(_ *served, up *loomtest.Upstream) { up.Close() },
		"a fault":      func(_ *served, up *loomtest.Upstream) { up.RawFrame(http2.FrameData, 0, 0, nil) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t)
				s, up := h.upstream()
				synctest.Wait()
				s.changedNow()
				end(s, up)
				synctest.Wait()
				if _, err := s.open(true); !errors.Is(err, h2.ErrClosed) {
					t.Errorf("Open returned %v, want ErrClosed", err)
				}
				if s.Usable() || !s.changedNow() {
					t.Error("the owner does not hear of the end")
				}
				up.Close()
				err := s.wantEnd()
				if _, again := s.open(true); !errors.Is(again, h2.ErrClosed) {
					t.Errorf("Open returned %v, want ErrClosed", again)
				}
				if name == "closed" && !errors.Is(err, h2.ErrClosed) {
					t.Errorf("Serve returned %v, want ErrClosed", err)
				}
				s.Close() // afterwards it is no harm
			})
		})
	}
}

// A connection that was closed before it was served ends at once.
func TestCloseBeforeServe(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		conn, peer := h.rawPipe()
		c := h2.NewServer(conn, h.opts, &served{})
		c.Close()
		if err := c.Serve(); !errors.Is(err, h2.ErrClosed) {
			t.Errorf("Serve returned %v", err)
		}
		_ = peer.conn.Close()
	})
}

// A stream is refused, and may be tried elsewhere, only if not one byte of it
// can have reached the peer; it is lost otherwise.
func TestRefusedOrLost(t *testing.T) {
	ends := []struct {
		name string
		end  func(s *served, p *rawPeer)
	}{
		{"cut", func(_ *served, p *rawPeer) { p.conn.CutDelivered() }},
		{"half-closed", func(_ *served, p *rawPeer) { _ = p.conn.CloseWrite() }},
		{"a fault of the peer's", func(_ *served, p *rawPeer) { p.frame(http2.FrameData, 0, 0, nil) }},
		{"closed by us", func(s *served, _ *rawPeer) { s.Close() }},
	}
	for _, tt := range ends {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t)
				conn, peer := h.rawPipe()
				s := h.serve(conn, false, nil)
				peer.answerGreeting()
				peer.frames()
				sent := s.mustOpen(true)
				synctest.Wait()
				// The peer takes ten more bytes, and nothing more until the end.
				conn.SetWriteCapacity(peer.conn.Unread() + 10)
				begun := s.mustOpen(true)
				synctest.Wait()
				waiting := []*leg{s.mustOpen(true), s.mustOpen(false)}
				waiting[1].send([]byte("body"), true)
				synctest.Wait()

				tt.end(s, peer)
				synctest.Wait()
				conn.SetWriteCapacity(1 << 30)
				sent.wantEnded(h2.CauseLost)
				begun.wantEnded(h2.CauseLost)
				for _, l := range waiting {
					l.wantEnded(h2.CauseRefused)
				}
				synctest.Wait()
				seen := peer.headers()
				_ = peer.conn.Close()
				_ = s.wantEnd()
				for _, id := range seen {
					if id == waiting[0].ID() || id == waiting[1].ID() {
						t.Errorf("stream %d was refused, and the peer has got it", id)
					}
				}
			})
		})
	}
}

// headers returns the streams of the HEADERS frames that can be read.
func (p *rawPeer) headers() (ids []uint32) {
	wire := make([]byte, p.conn.Unread())
	n, _ := p.conn.Read(wire)
	frames, _ := loomtest.ReadFrames(wire[:n]) // the last one may be cut off
	for _, f := range of(http2.FrameHeaders, frames) {
		ids = append(ids, f.StreamID)
	}
	return ids
}

// A peer that refuses a stream says so with a code.
func TestRefusedByCode(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, up := h.upstream()
		for code, cause := range map[http2.ErrCode]h2.Cause{
			http2.ErrCodeRefusedStream: h2.CauseRefused,
			http2.ErrCodeCancel:        h2.CausePeer,
			http2.ErrCodeNo:            h2.CausePeer,
			0xabcdef:                   h2.CausePeer,
		} {
			l := s.mustOpen(true)
			id, _ := up.WantCall()
			up.Reset(id, code)
			if e := l.wantEnded(cause); e.Code != h2.ErrCode(code) || e.Err != nil {
				t.Errorf("RST_STREAM %v: %+v", code, e)
			}
		}
		if !s.Usable() {
			t.Error("the connection has ended with its streams")
		}
	})
}

// What a caller sends with REFUSED_STREAM is its own affair.
func TestServerIsNeverRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, down := h.downstream(nil)
		id := down.Open("/s/m")
		l := s.leg()
		l.want("headers")
		down.Reset(id, http2.ErrCodeRefusedStream)
		l.wantEnded(h2.CausePeer)
		down.Open("/s/m")
		l = s.leg()
		l.want("headers")
		down.Cut()
		l.wantEnded(h2.CauseLost)
	})
}

// brokenPipe is a connection that fails to write once it is broken, and can
// still be read.
type brokenPipe struct {
	*loomtest.Conn
	broken atomic.Bool
}

var errBroken = errors.New("broken on purpose")

func (c *brokenPipe) Write(p []byte) (int, error) {
	if c.broken.Load() {
		return 0, errBroken
	}
	return c.Conn.Write(p)
}

// A write that fails ends the connection, but not before what the peer had
// sent is read.
func TestWriteErrorLosesNoAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		mine, theirs := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
		conn := &brokenPipe{Conn: mine}
		s := h.serve(conn, false, nil)
		up := loomtest.NewUpstream(t, theirs)
		l, refused, lost := s.mustOpen(false), s.mustOpen(true), s.mustOpen(true)
		id, _ := up.WantCall()
		_, _ = up.WantCall()
		_, _ = up.WantCall()
		conn.broken.Store(true)
		l.send([]byte("too late"), false)
		synctest.Wait()
		if _, err := s.open(true); !errors.Is(err, h2.ErrClosed) {
			t.Errorf("Open returned %v, want ErrClosed", err)
		}
		up.Reset(refused.ID(), http2.ErrCodeRefusedStream)
		up.Headers(id)
		up.Data(id, []byte("answer"), false)
		up.Trailers(id, 0)

		l.want("headers")
		l.want("data")
		if e := l.want("headers"); !e.end {
			t.Error("no trailers")
		}
		refused.wantEnded(h2.CauseRefused)
		lost.wantEnded(h2.CauseLost)
		if err := s.wantEnd(); !errors.Is(err, errBroken) {
			t.Errorf("Serve returned %v", err)
		}
	})
}
