package h2_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// wantAt compares the fake time since start with want.
func wantAt(t *testing.T, what string, start time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(start); got != want {
		t.Errorf("%s after %v, want %v", what, got, want)
	}
}

func TestPrefaceTimeout(t *testing.T) {
	tests := []struct {
		name   string
		server bool
		say    func(p *rawPeer)
		goAway bool // SETTINGS_TIMEOUT is told
	}{
		{"nothing", true, func(*rawPeer) {}, false},
		{"half a preface", true, func(p *rawPeer) { p.write([]byte(http2.ClientPreface[:12])) }, false},
		{"no SETTINGS", true, func(p *rawPeer) { p.write([]byte(http2.ClientPreface)) }, false},
		{"half of SETTINGS", true, func(p *rawPeer) { p.write([]byte(http2.ClientPreface + "\x00\x00\x06\x04")) }, false},
		{"no ACK", true, func(p *rawPeer) {
			p.write([]byte(http2.ClientPreface))
			p.frame(http2.FrameSettings, 0, 0, nil)
		}, true},
		{"a backend that says nothing", false, func(*rawPeer) {}, false},
		{"a backend that does not ACK", false, func(p *rawPeer) { p.frame(http2.FrameSettings, 0, 0, nil) }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				start := time.Now()
				h := newHost(t, limits(func(l *h2.Limits) { l.Preface = 7 * time.Second }))
				conn, peer := h.rawPipe()
				s := h.serve(conn, tt.server, nil)
				tt.say(peer)
				time.Sleep(7*time.Second - 1)
				synctest.Wait()
				if got := h.counters.PrefaceTimeouts.Load(); got != 0 {
					t.Fatal("closed too early")
				}
				time.Sleep(time.Nanosecond)
				goAways := of(http2.FrameGoAway, peer.frames())
				_ = peer.conn.Close()
				if err := s.wantEnd(); err == nil {
					t.Error("Serve returns no error")
				}
				wantAt(t, "closed", start, 7*time.Second)
				if got := h.counters.PrefaceTimeouts.Load(); got != 1 {
					t.Errorf("PrefaceTimeouts = %d, want 1", got)
				}
				if tt.goAway != (len(goAways) == 1) {
					t.Errorf("%d GOAWAY frames, want one: %v", len(goAways), tt.goAway)
				}
			})
		})
	}
}

func keepalive(o *h2.Options) {
	o.KeepaliveInterval, o.KeepaliveTimeout = 30*time.Second, 10*time.Second
}

func TestKeepaliveOfASilentPeer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, keepalive)
		s, up := h.upstream(loomtest.Without(loomtest.AutoPingAck), loomtest.Timeout(time.Hour))
		l := s.mustOpen(false)
		up.WantCall()
		start := time.Now()
		up.WantPing()
		wantAt(t, "asked", start, 30*time.Second)
		e := l.wantEndedWithin(time.Minute, h2.CauseLost)
		wantAt(t, "given up", start, 40*time.Second)
		if err := s.wantEnd(); err == nil || e.Err == nil || e.Err.Error() != err.Error() {
			t.Errorf("Serve returned %v, the stream was told %v", err, e.Err)
		}
		if got := h.counters.KeepaliveLost.Load(); got != 1 {
			t.Errorf("KeepaliveLost = %d, want 1", got)
		}
	})
}

// A peer that answers, or that says anything at all in time, is kept; one
// without streams is not asked.
func TestKeepaliveKeeps(t *testing.T) {
	tests := []struct {
		name  string
		open  bool
		auto  loomtest.Auto // that the peer does not have
		say   func(up *loomtest.Upstream)
		pings bool
	}{
		{"that answers", true, 0, nil, true},
		{"without streams", false, loomtest.AutoPingAck, nil, false},
		{"that says something else", true, loomtest.AutoPingAck, func(up *loomtest.Upstream) { up.WindowUpdate(0, 1) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, keepalive)
				s, up := h.upstream(loomtest.Without(tt.auto))
				if tt.open {
					s.mustOpen(false)
					up.WantCall()
				}
				for range 60 {
					time.Sleep(20 * time.Second)
					if tt.say != nil {
						tt.say(up)
					}
				}
				if !s.Usable() || !up.Alive() {
					t.Fatal("the connection has ended")
				}
				// 20 minutes, a ping every 30 s at most.
				if tt.pings {
					for range 39 {
						up.WantPing()
					}
				}
				if got := h.counters.KeepaliveLost.Load(); got != 0 {
					t.Errorf("KeepaliveLost = %d, want 0", got)
				}
				up.Ping([8]byte{1})
				up.WantPingAck([8]byte{1})
			})
		})
	}
}

// Any sign of life after the question will do, and the next silence is asked
// about anew.
func TestKeepaliveTakesAnySign(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, keepalive)
		s, up := h.upstream(loomtest.Without(loomtest.AutoPingAck), loomtest.Timeout(time.Hour))
		s.mustOpen(false)
		up.WantCall()
		for range 3 {
			up.WantPing()
			time.Sleep(5 * time.Second)
			up.WindowUpdate(0, 1)
		}
		start := time.Now()
		up.WantPing()
		wantAt(t, "asked", start, 30*time.Second)
		up.WantClosed()
		wantAt(t, "given up", start, 40*time.Second)
	})
}

func TestNobodyIsAskedInVain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, keepalive)
		conn, peer := h.rawPipe()
		s := h.serve(conn, false, nil)
		peer.answerGreeting()
		time.Sleep(time.Hour)
		if pings := of(http2.FramePing, peer.frames()); len(pings) != 0 {
			t.Errorf("%d pings on a connection without streams", len(pings))
		}
		s.mustOpen(false)
		time.Sleep(31 * time.Second)
		if pings := of(http2.FramePing, peer.frames()); len(pings) != 1 {
			t.Errorf("%d pings within 31 s of silence, want 1", len(pings))
		}
		_ = peer.conn.Close()
	})
}

// noWindow lets nothing be sent on streams until WINDOW_UPDATE.
func noWindow() loomtest.Option {
	return loomtest.WithSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
}

// A stream whose peer takes nothing is reset; one that takes a byte now and
// then is not.
func TestStall(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, down := h.downstream(nil, loomtest.Timeout(time.Hour),
			loomtest.Without(loomtest.AutoStreamWindow), noWindow())
		id := down.Open("/s/m")
		l := s.leg()
		l.want("headers")
		l.respond()
		down.WantHeaders(id)
		l.send(make([]byte, 100), false)
		for range 10 {
			time.Sleep(4 * time.Minute)
			down.WindowUpdate(id, 1)
			down.WantBytes(id, 1)
		}
		start := time.Now()
		down.WantReset(id, http2.ErrCodeCancel)
		wantAt(t, "reset", start, 5*time.Minute)
		l.wantEnded(h2.CauseStall)
		if got := h.counters.Stalls.Load(); got != 1 {
			t.Errorf("Stalls = %d, want 1", got)
		}
		if s.Streams() != 0 {
			t.Error("the stream is still open")
		}
	})
}

// A stream that is stuck, goes on, and is stuck again much later has its whole
// time again.
func TestStallBeginsAnew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, down := h.downstream(nil, loomtest.Timeout(time.Hour),
			loomtest.Without(loomtest.AutoStreamWindow), noWindow())
		id := down.Open("/s/m")
		l := s.leg()
		l.want("headers")
		l.respond()
		down.WantHeaders(id)
		for range 3 {
			l.send(make([]byte, 100), false)
			time.Sleep(3 * time.Minute)
			down.WindowUpdate(id, 100)
			down.WantBytes(id, 100)
			time.Sleep(time.Hour)
		}
		l.wantNothing()
		l.send(make([]byte, 100), false)
		start := time.Now()
		down.WantReset(id, http2.ErrCodeCancel)
		wantAt(t, "reset", start, 5*time.Minute)
	})
}

// A peer whose socket takes nothing loses the connection.
func TestStalledSocket(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		theirs, peer := h.rawPipe()
		s := h.serve(theirs, true, nil)
		peer.greet()
		peer.request(1, 0)
		l := s.leg()
		l.want("headers")
		l.respond()
		synctest.Wait()
		theirs.SetWriteCapacity(0)
		start := time.Now()
		l.send(make([]byte, 100), false)
		l.wantEndedWithin(6*time.Minute, h2.CauseLost)
		// What the peer may have sent before is still read.
		wantAt(t, "lost", start, 5*time.Minute+h.opts.Limits.Linger)
		if err := s.wantEnd(); err == nil || !strings.HasPrefix(err.Error(), "write: ") {
			t.Errorf("Serve returned %v, want a write that failed", err)
		}
	})
}

func TestDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, down := h.downstream(nil)
		start := time.Now()
		deadlines := map[string][]time.Duration{ // after start; 0 takes it back
			"set":          {3 * time.Second},
			"moved on":     {time.Second, 5 * time.Second},
			"moved closer": {time.Hour, 2 * time.Second},
			"taken back":   {time.Second, 0},
			"set again":    {time.Second, 0, 4 * time.Second},
			"passed":       {-time.Second},
		}
		legs := make(map[string]*leg)
		for name, times := range deadlines {
			down.Open("/s/m")
			l := s.leg()
			l.want("headers")
			legs[name] = l
			for _, d := range times {
				at := start.Add(d)
				if d == 0 {
					at = time.Time{}
				}
				l.SetDeadline(at)
			}
		}
		rings := func(at time.Duration, names ...string) {
			t.Helper()
			time.Sleep(time.Until(start.Add(at)))
			synctest.Wait()
			for _, name := range names {
				legs[name].want("expired")
			}
			for _, l := range legs {
				l.wantNothing()
			}
		}
		rings(0, "passed")
		rings(2*time.Second - 1)
		rings(2*time.Second, "moved closer")
		rings(3*time.Second, "set")
		rings(4*time.Second, "set again")
		rings(5*time.Second, "moved on")
		rings(48 * time.Hour)
		// A deadline is no end: the stream goes on.
		legs["set"].SetDeadline(time.Now().Add(time.Second))
		rings(48*time.Hour+time.Second, "set")
	})
}

// The deadline of a stream that has ended does not ring.
func TestDeadlineOfAnEndedStream(t *testing.T) {
	ends := map[string]func(l *leg, down *loomtest.Downstream, id uint32){
		"answered":       func(l *leg, _ *loomtest.Downstream, _ uint32) { l.headers(true, ":status", "200") },
		"reset by us":    func(l *leg, _ *loomtest.Downstream, _ uint32) { do(func(b *h2.Batch) { l.Reset(b, h2.CodeCancel) }) },
		"reset by peer":  func(_ *leg, down *loomtest.Downstream, id uint32) { down.Reset(id, http2.ErrCodeCancel) },
		"connection cut": func(_ *leg, down *loomtest.Downstream, _ uint32) { down.Cut() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t)
				s, down := h.downstream(nil)
				id := down.Unary("/s/m", nil)
				l := s.leg()
				l.want("headers")
				l.want("data")
				l.SetDeadline(time.Now().Add(time.Minute))
				end(l, down, id)
				synctest.Wait()
				l.SetDeadline(time.Now().Add(time.Minute)) // too late
				time.Sleep(time.Hour)
				for len(l.events) > 0 {
					if e := <-l.events; e.what == "expired" {
						t.Error("the deadline of an ended stream rang")
					}
				}
			})
		})
	}
}
