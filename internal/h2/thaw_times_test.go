package h2_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"loom/internal/h2"
)

// course is what happens on a connection in the course of time, by itself and
// because of what its peer does each second.
type course struct {
	name   string
	server bool
	opts   func(*h2.Options)
	begin  func(s *served, p *rawPeer)
	second func(s *served, p *rawPeer, n int)
	want   string // part of what has to happen
}

var courses = []course{
	{
		name: "a peer that says nothing", server: true,
		opts: limits(func(l *h2.Limits) { l.Preface = 7 * time.Second }),
		want: "7s end: the peer's preface did not come in time",
	},
	{
		name: "half a preface", server: true,
		opts:  limits(func(l *h2.Limits) { l.Preface = 7 * time.Second }),
		begin: func(_ *served, p *rawPeer) { p.write([]byte(http2.ClientPreface[:12])) },
		want:  "7s end: the peer's preface did not come in time",
	},
	{
		name: "settings that are not acknowledged", opts: limits(func(l *h2.Limits) { l.Preface = 7 * time.Second }),
		begin: func(_ *served, p *rawPeer) { p.frame(http2.FrameSettings, 0, 0, nil) },
		want:  "7s frame GOAWAY \"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x04our SETTINGS",
	},
	{
		name: "a peer that falls silent", opts: keepalive,
		begin: func(s *served, p *rawPeer) { p.answerGreeting(); s.mustOpen(false) },
		want:  "40s end: the peer did not answer a keepalive ping",
	},
	{
		name: "a drain without an answer", server: true,
		begin: func(s *served, p *rawPeer) { p.greet(); p.request(1, 0); synctest.Wait(); s.drain() },
		want:  "5s frame GOAWAY",
	},
	{
		name: "the greatest age", server: true,
		opts: func(o *h2.Options) { o.MaxAge, o.AgeGrace = 4*time.Second+time.Second/2, 30*time.Second },
		begin: func(_ *served, p *rawPeer) {
			p.greet()
			p.request(1, 0)
		},
		want: "end: calls went on for too long",
	},
	{
		name: "no calls", opts: func(o *h2.Options) { o.IdleTimeout = 10 * time.Second },
		begin: func(_ *served, p *rawPeer) { p.answerGreeting() },
		want:  "10s end: closed because it had no calls",
	},
	{
		name: "a stream that takes nothing", server: true,
		opts: limits(func(l *h2.Limits) { l.Stall = 8 * time.Second }),
		begin: func(s *served, p *rawPeer) {
			p.greet(http2.Setting{ID: http2.SettingInitialWindowSize})
			p.request(1, 0)
		},
		second: func(s *served, p *rawPeer, n int) {
			switch l := s.born[0]; n {
			case 1:
				l.respond()
				l.send([]byte("stuck"), false)
			case 5:
				p.windowUpdate(1, 1)
			}
		},
		want: "13s frame RST_STREAM",
	},
	{
		name: "deadlines", server: true,
		begin: func(_ *served, p *rawPeer) {
			p.greet()
			p.request(1, 0)
			p.request(3, 0)
			p.request(5, 0)
		},
		second: func(s *served, _ *rawPeer, n int) {
			if n != 2 {
				return
			}
			for i, l := range s.born {
				l.SetDeadline(time.Now().Add(time.Duration(20-5*i) * time.Second))
			}
		},
		want: "12s stream 5 expired",
	},
	{
		name: "noise", server: true,
		opts:  limits(func(l *h2.Limits) { l.Noise = h2.Rate{Burst: 100, PerSecond: 5} }),
		begin: func(_ *served, p *rawPeer) { p.greet() },
		second: func(_ *served, p *rawPeer, _ int) {
			for range 20 {
				p.frame(http2.FramePing, 0, 0, make([]byte, 8))
			}
		},
		want: "end: ENHANCE_YOUR_CALM: too many frames that carry nothing",
	},
	{
		name: "early resets", server: true,
		opts:  limits(func(l *h2.Limits) { l.EarlyResets = h2.Rate{Burst: 20, PerSecond: 2} }),
		begin: func(_ *served, p *rawPeer) { p.greet() },
		second: func(_ *served, p *rawPeer, n int) {
			for i := range 5 {
				id := uint32(10*n + 2*i + 1)
				p.request(id, 0)
				p.frame(http2.FrameRSTStream, 0, id, make([]byte, 4))
			}
		},
		want: "end: ENHANCE_YOUR_CALM: too many streams reset",
	},
	{
		name: "faults", server: true,
		opts:  limits(func(l *h2.Limits) { l.OwnResets = h2.Rate{Burst: 20, PerSecond: 2} }),
		begin: func(_ *served, p *rawPeer) { p.greet() },
		second: func(_ *served, p *rawPeer, n int) {
			for i := range 5 {
				id := uint32(10*n + 2*i + 1)
				p.request(id, 0)
				p.windowUpdate(id, 0)
			}
		},
		want: "end: ENHANCE_YOUR_CALM: too many faults",
	},
	{
		name: "a stream that is soon reset", server: true,
		opts:  limits(func(l *h2.Limits) { l.EarlyResets = h2.Rate{} }),
		begin: func(_ *served, p *rawPeer) { p.greet() },
		second: func(_ *served, p *rawPeer, n int) {
			switch n {
			case 1:
				p.request(1, 0)
			case 3: // not any more
				p.frame(http2.FrameRSTStream, 0, 1, make([]byte, 4))
				p.request(3, 0)
				p.frame(http2.FrameRSTStream, 0, 3, make([]byte, 4))
			}
		},
		want: "3s frame GOAWAY",
	},
	{
		name: "fragments without end", server: true,
		begin: func(_ *served, p *rawPeer) {
			p.greet()
			p.frame(http2.FrameHeaders, 0, 1, []byte{0x83})
		},
		second: func(_ *served, p *rawPeer, _ int) { p.frame(http2.FrameContinuation, 0, 1, []byte{0x86}) },
		want:   "17s frame GOAWAY",
	},
	{
		name: "a flood in fragments", server: true,
		opts: limits(func(l *h2.Limits) { l.HeaderList, l.Continuations = 1000, 100 }),
		begin: func(_ *served, p *rawPeer) {
			p.greet()
			p.frame(http2.FrameHeaders, 0, 1, []byte{0x83})
		},
		second: func(_ *served, p *rawPeer, _ int) {
			p.frame(http2.FrameContinuation, 0, 1, append([]byte{0, 1, 'x', 127, 73}, make([]byte, 200)...))
		},
		want: "end: ENHANCE_YOUR_CALM: a header list far too large",
	},
}

// run returns what happens within two minutes, second by second. At the end of
// each one, between is called if the connection still stands.
func (c *course) run(t *testing.T, between func(*host, *served)) (log string) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		if c.opts != nil {
			c.opts(h.opts)
		}
		conn, peer := h.rawPipe()
		s := h.serve(conn, c.server, nil)
		if c.begin != nil {
			c.begin(s, peer)
		}
		var b strings.Builder
		for n := range 120 {
			synctest.Wait()
			between(h, s)
			synctest.Wait()
			for _, f := range peer.frames() {
				_, _ = fmt.Fprintf(&b, "%ds frame %v %q\n", n, f.Type, f.Payload)
			}
			for _, l := range s.born {
				for len(l.events) > 0 {
					_, _ = fmt.Fprintf(&b, "%ds stream %d %s\n", n, l.ID(), (<-l.events).what)
				}
			}
			select {
			case <-s.ended:
				_, _ = fmt.Fprintf(&b, "%ds end: %v\n", n, s.err)
			default:
				time.Sleep(time.Second)
				if c.second != nil && !strings.Contains(b.String(), "GOAWAY") {
					c.second(s, peer, n+1)
				}
				continue
			}
			break
		}
		_ = peer.conn.Close()
		_ = s.wantEnd()
		log = b.String()
	})
	return log
}

// Times and rates are neither longer nor shorter for a connection that is
// paused, or written down, every second.
func TestThawKeepsTimesAndRates(t *testing.T) {
	for _, c := range courses {
		t.Run(c.name, func(t *testing.T) {
			want := c.run(t, func(*host, *served) {})
			if !strings.Contains(want, c.want) {
				t.Fatalf("want %q in\n%s", c.want, want)
			}
			ways := map[string]func(h *host, s *served){
				"paused": func(_ *host, s *served) { s.pauseAndResume() },
				"thawed": func(h *host, s *served) { h.rebirth(s) },
			}
			for name, again := range ways {
				got := c.run(t, func(h *host, s *served) {
					if s.stands() {
						again(h, s)
					}
				})
				if withoutHeaders(got) != withoutHeaders(want) {
					t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
				}
			}
		})
	}
}

// stands reports whether the connection can be paused: it has not begun to end.
func (s *served) stands() bool {
	f, err := s.Pause(s.t.Context())
	return err == nil && f.Resume() == nil
}

// withoutHeaders drops the frames with header blocks, which differ once the
// encoder began anew.
func withoutHeaders(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "frame HEADERS") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// For as long as a connection is paused its peer is not taken for silent or
// slow; the deadlines of its streams go on.
func TestClockStandsStillDuringAPause(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, keepalive, limits(func(l *h2.Limits) { l.Stall = time.Minute }))
		conn, peer := h.rawPipe()
		s := h.serve(conn, true, nil)
		peer.greet(http2.Setting{ID: http2.SettingInitialWindowSize})
		peer.request(1, 0)
		l := s.leg()
		l.want("headers")
		l.respond()
		l.send([]byte("stuck"), false)
		l.SetDeadline(time.Now().Add(30 * time.Minute))
		time.Sleep(10 * time.Second)
		f, err := s.Pause(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		l.wantNothing()
		peer.frames()
		start := time.Now()
		if err := f.Resume(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		l.want("expired")
		time.Sleep(19 * time.Second)
		if got := peer.frames(); len(got) > 0 {
			t.Errorf("after %v it said %v", time.Since(start), got)
		}
		time.Sleep(2 * time.Second)
		if got := of(http2.FramePing, peer.frames()); len(got) != 1 {
			t.Errorf("after %v there are %d pings, want 1", time.Since(start), len(got))
		}
		peer.frame(http2.FramePing, http2.FlagPingAck, 0, []byte("loom\x00\x00\x00\x00"))
		l.wantEndedWithin(time.Minute, h2.CauseStall)
		wantAt(t, "stalled", start, 50*time.Second)
		_ = peer.conn.Close()
	})
}
