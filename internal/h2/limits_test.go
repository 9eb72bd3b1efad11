package h2_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// Each limit lets its burst and its rate pass, and ends the connection of who
// goes on beyond that.
func TestRates(t *testing.T) {
	few := func(l *h2.Limits) {
		rate := h2.Rate{Burst: 20, PerSecond: 2}
		l.Noise, l.EarlyResets, l.OwnResets = rate, rate, rate
	}
	id := func(i int) uint32 { return uint32(1 + 2*i) }
	tests := []struct {
		name    string
		attack  func(i int) []byte // one of them
		counter func(c *h2.Counters) *atomic.Uint64
	}{
		{"PING", func(int) []byte { return frame(http2.FramePing, 0, 0, make([]byte, 8)) }, noise},
		{"SETTINGS", func(int) []byte { return frame(http2.FrameSettings, 0, 0, nil) }, noise},
		{"PRIORITY", func(i int) []byte { return frame(http2.FramePriority, 0, id(i), make([]byte, 5)) }, noise},
		{"WINDOW_UPDATE", func(int) []byte { return frame(http2.FrameWindowUpdate, 0, 0, uint32s(1)) }, noise},
		{"GOAWAY", func(int) []byte { return frame(http2.FrameGoAway, 0, 0, make([]byte, 8)) }, noise},
		{"unknown", func(int) []byte { return frame(0x99, 0, 0, nil) }, noise},
		{"empty DATA", func(i int) []byte {
			if i == 0 {
				return append(open(1), frame(http2.FrameData, 0, 1, nil)...)
			}
			return frame(http2.FrameData, 0, 1, nil)
		}, noise},
		{"padding and nothing else", func(i int) []byte {
			if i == 0 {
				return append(open(1), frame(http2.FrameData, padded, 1, make([]byte, 1))...)
			}
			return frame(http2.FrameData, padded, 1, make([]byte, 1))
		}, noise},
		{"early resets", func(i int) []byte { return closed(id(i)) },
			func(c *h2.Counters) *atomic.Uint64 { return &c.EarlyResets }},
		{"faults", func(i int) []byte { return frame(http2.FrameHeaders, endHeaders, id(i), block("x", "y")) },
			func(c *h2.Counters) *atomic.Uint64 { return &c.OwnResets }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				h := newHost(t, limits(few))
				end, peer := h.rawPipe()
				s := h.serve(end, true, nil)
				peer.greet()
				n := 0
				attack := func(times int) bool {
					for range times {
						peer.write(tt.attack(n))
						n++
					}
					return len(of(http2.FrameGoAway, peer.frames())) == 0
				}
				if !attack(20) {
					t.Fatal("the burst is too much")
				}
				for range 10 {
					time.Sleep(time.Second)
					if !attack(2) {
						t.Fatal("the rate is too much")
					}
				}
				if got := tt.counter(h.counters).Load(); got != 0 {
					t.Errorf("the counter is %d, want 0", got)
				}
				if attack(1) {
					t.Fatal("one more is not too much")
				}
				if got := tt.counter(h.counters).Load(); got != 1 {
					t.Errorf("the counter is %d, want 1", got)
				}
				_ = peer.conn.Close()
				if err := s.wantEnd(); err == nil || !strings.Contains(err.Error(), "ENHANCE_YOUR_CALM") {
					t.Errorf("Serve returned %v", err)
				}
			})
		})
	}
}

func noise(c *h2.Counters) *atomic.Uint64 { return &c.Noise }

// What a peer says in answer to us is no noise.
func TestAnswersAreNoNoise(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, limits(func(l *h2.Limits) { l.Noise = h2.Rate{Burst: 10} }))
		s, down := h.downstream(nil) // which gives every byte's credit back at once
		id := down.Open("/s/m")
		l := s.leg()
		l.want("headers")
		l.respond()
		down.WantHeaders(id)
		for range 200 {
			l.send(make([]byte, 10), false)
			down.WantBytes(id, 10)
			synctest.Wait()
		}
		if got := h.counters.Noise.Load(); got != 0 || !s.Usable() {
			t.Errorf("Noise = %d", got)
		}
	})
}

// Resets of calls that were answered, or that are old, are none of a rapid
// reset.
func TestLateResets(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, limits(func(l *h2.Limits) { l.EarlyResets = h2.Rate{} }))
		s, down := h.downstream(nil)
		for range 20 {
			id := down.Open("/s/m")
			l := s.leg()
			l.want("headers")
			l.respond()
			down.WantHeaders(id)
			down.Reset(id, http2.ErrCodeCancel)
			id = down.Open("/s/m")
			time.Sleep(time.Second)
			down.Reset(id, http2.ErrCodeCancel)
			s.leg()
			synctest.Wait()
		}
		if got := h.counters.EarlyResets.Load(); got != 0 || !s.Usable() {
			t.Errorf("EarlyResets = %d", got)
		}
		down.Open("/s/m")
		down.Reset(81, http2.ErrCodeCancel)
		down.WantGoAway(http2.ErrCodeEnhanceYourCalm)
		if got := h.counters.EarlyResets.Load(); got != 1 {
			t.Errorf("EarlyResets = %d, want 1", got)
		}
	})
}

// A peer that has us answer and reads nothing is cut off.
func TestAnswersThatAreNotRead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, limits(func(l *h2.Limits) { l.ControlReplies, l.Noise.Burst = 100, 1000 }))
		end, peer := h.rawPipe()
		s := h.serve(end, true, nil)
		peer.greet()
		peer.frames()
		ping := frame(http2.FramePing, 0, 0, make([]byte, 8))
		// Who reads may ask as often as it likes.
		for range 500 {
			peer.write(ping)
			if got := len(peer.frames()); got != 1 {
				t.Fatalf("%d answers to a PING", got)
			}
		}
		end.SetWriteCapacity(0)
		for range 100 {
			peer.write(ping)
			synctest.Wait()
		}
		if !s.Usable() {
			t.Error("100 answers that wait are too much")
		}
		peer.write(ping)
		synctest.Wait()
		if s.Usable() {
			t.Error("101 answers that wait are not too much")
		}
		if got := h.counters.ControlReplies.Load(); got != 1 {
			t.Errorf("ControlReplies = %d, want 1", got)
		}
		_ = peer.conn.Close()
	})
}

func TestConcurrentStreams(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, limits(func(l *h2.Limits) { l.Streams = 2 }))
		s, down := h.downstream(nil)
		one, two, three := down.Open("/s/m"), down.Open("/s/m"), down.Open("/s/m")
		down.WantReset(three, http2.ErrCodeRefusedStream)
		l := s.leg()
		l.want("headers")
		l.headers(true, ":status", "200", "grpc-status", "0")
		down.WantStatus(one, 0)
		// It counts until both sides are through.
		down.WantReset(down.Open("/s/m"), http2.ErrCodeRefusedStream)
		down.RawData(one, nil, true)
		down.Open("/s/m")
		down.Reset(two, http2.ErrCodeCancel)
		down.Open("/s/m")
		down.WantNothing(time.Second)
		if got := h.counters.StreamsRefused.Load(); got != 2 {
			t.Errorf("StreamsRefused = %d, want 2", got)
		}
	})
}

// A request whose metadata is too large is told to the owner, to be answered;
// one that is far too large ends the connection.
func TestHeaderListLimit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, limits(func(l *h2.Limits) { l.HeaderList, l.HeaderFields = 2000, 20 }))
		s, down := h.downstream(nil)
		kinds := map[string]h2.BlockKind{
			strings.Repeat("x", 1000): h2.BlockHeaders,
			strings.Repeat("y", 2000): h2.BlockOversize,
			strings.Repeat("z", 1001): h2.BlockHeaders,
		}
		for value, kind := range kinds {
			down.Open("/s/m", "x", value)
			e := s.leg().want("headers")
			if e.kind != kind {
				t.Errorf("%d bytes: kind %d, want %d", len(value), e.kind, kind)
			}
			if e.fields.Get(":path") != "/s/m" {
				t.Errorf("what came first is lost: %v", e.fields)
			}
		}
		if got := h.counters.HeaderLists.Load(); got != 1 {
			t.Errorf("HeaderLists = %d, want 1", got)
		}
		down.HeaderBlock(101, true, loomtest.RequestFields("/s/m", "x", strings.Repeat("x", 9000)))
		down.WantGoAway(http2.ErrCodeEnhanceYourCalm)
		if got := h.counters.HeaderFloods.Load(); got != 1 {
			t.Errorf("HeaderFloods = %d, want 1", got)
		}
	})
}
