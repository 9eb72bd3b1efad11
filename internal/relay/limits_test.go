package relay_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// wantCounter compares one of the relay's counters.
func wantCounter(t *testing.T, name string, c *atomic.Uint64, want uint64) {
	t.Helper()
	if got := c.Load(); got != want {
		t.Errorf("%s = %d, want %d", name, got, want)
	}
}

// until repeats an attack until the relay has had enough of it, which must
// be within most rounds, and returns after how many that was.
func until(t *testing.T, down *loomtest.Downstream, most int, attack func(i int)) int {
	t.Helper()
	for i := range most {
		if !down.Alive() {
			return i
		}
		attack(i)
		// Let the relay act on it before the next one.
		synctest.Wait()
	}
	t.Fatalf("the attack went on for %d rounds", most)
	return 0
}

func TestLimitPreface(t *testing.T) {
	tests := []struct {
		name string
		say  func(down *loomtest.Downstream)
		code http2.ErrCode // of a GOAWAY, if hasCode
		has  bool
	}{
		{"nothing", func(*loomtest.Downstream) {}, 0, false},
		{"half a preface", func(down *loomtest.Downstream) { down.RawBytes([]byte(http2.ClientPreface[:10])) }, 0, false},
		{"no settings", func(down *loomtest.Downstream) {
			down.SetAuto(loomtest.AutoSettingsAck, false) // it would be the first frame
			down.Preface()
		}, 0, false},
		{"no ack", func(down *loomtest.Downstream) {
			down.SetAuto(loomtest.AutoSettingsAck, false)
			down.Preface()
			down.Settings()
		}, http2.ErrCodeSettingsTimeout, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) {
				start := time.Now()
				down := r.caller(loomtest.Silent(), loomtest.Timeout(time.Minute))
				tt.say(down)
				if tt.has {
					down.WantGoAway(tt.code)
				}
				down.WantClosed()
				if took := time.Since(start); took < 10*time.Second || took > 12*time.Second {
					t.Errorf("closed after %v, want 10 s", took)
				}
				wantCounter(t, "PrefaceTimeouts", &r.counters.PrefaceTimeouts, 1)
			})
		})
	}
}

func TestLimitConcurrentStreams(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller()
		settings := down.WantSettings()
		var announced uint32
		for _, s := range settings {
			if s.ID == http2.SettingMaxConcurrentStreams {
				announced = s.Val
			}
		}
		if announced != 10 {
			t.Fatalf("announced are %v", settings)
		}
		var ids []uint32
		for range 10 {
			ids = append(ids, down.Unary(method, []byte("question")))
		}
		refused := down.Unary(method, []byte("question"))
		down.WantReset(refused, http2.ErrCodeRefusedStream)
		wantCounter(t, "StreamsRefused", &r.counters.StreamsRefused, 1)

		// The ten go on, and make room when they end.
		up := r.ups.Accept()
		for range ids {
			up.Reply(wantQuestion(t, up), []byte("answer"))
		}
		for _, id := range ids {
			wantReply(t, down, id, "answer")
		}
		id := down.Unary(method, []byte("question"))
		up.WantCall()
		down.Reset(id, http2.ErrCodeCancel)
	}, func(o *rigOptions) { o.limits.Streams = 10 })
}

func TestLimitHeaderList(t *testing.T) {
	many := func(n int) []string {
		var kv []string
		for i := range n {
			kv = append(kv, fmt.Sprintf("x-%d", i), "1")
		}
		return kv
	}
	tests := []struct {
		name string
		kv   []string
		ok   bool
	}{
		{"60 KiB", []string{"x-long", strings.Repeat("~", 60<<10)}, true},
		{"66 KiB", []string{"x-long", strings.Repeat("~", 66<<10)}, false},
		{"190 fields", many(184), true},
		{"210 fields", many(204), false},
	}
	for _, tt := range tests {
		for _, end := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, end %v", tt.name, end), func(t *testing.T) {
				inMemory(t, func(t *testing.T, r *rig) {
					down := r.caller()
					down.HeaderBlock(1, end, loomtest.RequestFields(method, tt.kv...))
					if tt.ok {
						_, request := r.ups.Accept().WantCall()
						if request.Get(tt.kv[0]) != tt.kv[1] {
							t.Fatalf("upstream got %v", request)
						}
						return
					}
					down.WantStatus(1, codes.ResourceExhausted)
					if !end {
						down.WantReset(1, http2.ErrCodeNo)
					}
					wantCounter(t, "HeaderLists", &r.counters.HeaderLists, 1)
					r.ups.WantNone(time.Second)
					down.HeaderBlock(3, true, loomtest.RequestFields(method))
					r.ups.Accept().WantCall()
				})
			})
		}
	}
}

// Four times the limit closes the connection, and so do lists that are small on
// the wire and large once decoded.
func TestLimitHeaderFlood(t *testing.T) {
	tests := map[string]func(down *loomtest.Downstream){
		// In no more than 16 CONTINUATION frames, which have a limit of their own.
		"two strings of 132 KiB": func(down *loomtest.Downstream) {
			down.Headers(1, method, "x-long", strings.Repeat("~", 132<<10), "x-more", strings.Repeat("~", 132<<10))
		},
		"one string of 264 KiB": func(down *loomtest.Downstream) {
			down.Headers(1, method, "x-long", strings.Repeat("~", 264<<10))
		},
		"1,000 fields": func(down *loomtest.Downstream) {
			down.HeaderBlock(1, false, append(loomtest.RequestFields(method), make(loomtest.Fields, 1000)...))
		},
		"bomb": func(down *loomtest.Downstream) {
			// One entry of 3 KiB in the table, and then a byte for each copy.
			block := down.EncodeBlock(loomtest.RequestFields(method, "x-bomb", strings.Repeat("~", 3<<10)))
			for range 190 {
				block = append(block, 0x80|62)
			}
			down.RawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, block)
		},
	}
	for name, attack := range tests {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) {
				down := r.caller()
				attack(down)
				down.WantGoAway(http2.ErrCodeEnhanceYourCalm)
				down.WantClosed()
				wantCounter(t, "HeaderFloods", &r.counters.HeaderFloods, 1)
			})
		})
	}
}

func TestLimitContinuations(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller()
		empty := make([]int, 16) // the seventeenth frame holds the block
		down.HeaderBlockSplit(1, false, loomtest.RequestFields(method), empty...)
		r.ups.Accept().WantCall()
		down.HeaderBlockSplit(3, false, loomtest.RequestFields(method), make([]int, 17)...)
		down.WantGoAway(http2.ErrCodeEnhanceYourCalm)
		down.WantClosed()
		wantCounter(t, "Continuations", &r.counters.Continuations, 1)
	})
}

// Streams that are opened and reset at once, before any answer (the rapid
// reset, CVE-2023-44487).
func TestLimitEarlyResets(t *testing.T) {
	few := func(o *rigOptions) { o.limits.EarlyResets = h2.Rate{Burst: 200, PerSecond: 20} }
	// connected returns a caller whose calls go straight on.
	connected := func(r *rig) (*loomtest.Downstream, *loomtest.Upstream) {
		down := r.caller()
		id := down.Open(method)
		up := r.ups.Accept()
		upID, _ := up.WantCall()
		up.TrailersOnly(upID, codes.OK)
		down.WantStatus(id, codes.OK)
		down.Reset(id, http2.ErrCodeCancel)
		return down, up
	}
	t.Run("attack", func(t *testing.T) {
		inMemory(t, func(t *testing.T, r *rig) {
			down, up := connected(r)
			n := until(t, down, 300, func(int) { down.Reset(down.Open(method), http2.ErrCodeCancel) })
			if n < 200 {
				t.Fatalf("the connection ended after %d resets", n)
			}
			down.WantGoAway(http2.ErrCodeEnhanceYourCalm)
			wantCounter(t, "EarlyResets", &r.counters.EarlyResets, 1)
			if !up.Alive() {
				t.Error("the backend's connection suffers for it")
			}
		}, few)
	})
	t.Run("slowly", func(t *testing.T) {
		inMemory(t, func(t *testing.T, r *rig) {
			down, _ := connected(r)
			for range 400 {
				down.Reset(down.Open(method), http2.ErrCodeCancel)
				time.Sleep(51 * time.Millisecond)
			}
			down.WantNothing(time.Millisecond)
			wantCounter(t, "EarlyResets", &r.counters.EarlyResets, 0)
		}, few)
	})
	t.Run("not so early", func(t *testing.T) {
		inMemory(t, func(t *testing.T, r *rig) {
			down, _ := connected(r)
			var ids []uint32
			for range 300 {
				ids = append(ids, down.Open(method))
			}
			time.Sleep(1001 * time.Millisecond)
			for _, id := range ids {
				down.Reset(id, http2.ErrCodeCancel)
			}
			down.WantNothing(time.Millisecond)
			wantCounter(t, "EarlyResets", &r.counters.EarlyResets, 0)
		}, few)
	})
	t.Run("after an answer", func(t *testing.T) {
		inMemory(t, func(t *testing.T, r *rig) {
			down, up := connected(r)
			for range 300 {
				id := down.Open(method)
				upID, _ := up.WantCall()
				up.Headers(upID)
				down.WantHeaders(id)
				down.Reset(id, http2.ErrCodeCancel)
				up.WantReset(upID, http2.ErrCodeCancel)
			}
			down.WantNothing(time.Millisecond)
			wantCounter(t, "EarlyResets", &r.counters.EarlyResets, 0)
		}, few)
	})
}

// MadeYouReset: mistakes that have the relay reset streams (CVE-2025-8671).
func TestLimitOwnResets(t *testing.T) {
	attacks := map[string]func(down *loomtest.Downstream, id uint32){
		"window update of nothing": func(down *loomtest.Downstream, id uint32) { down.WindowUpdate(id, 0) },
		"window too wide":          func(down *loomtest.Downstream, id uint32) { down.WindowUpdate(id, 1<<31-1) },
		"priority of 4 bytes":      func(down *loomtest.Downstream, id uint32) { down.RawFrame(http2.FramePriority, 0, id, make([]byte, 4)) },
		"data after the end": func(down *loomtest.Downstream, id uint32) {
			down.RawData(id, nil, true)
			down.RawData(id, []byte("x"), false)
		},
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) {
				down := r.caller()
				n := until(t, down, 200, func(int) { attack(down, down.Open(method)) })
				if n < 100 {
					t.Fatalf("the connection ended after %d mistakes", n)
				}
				down.WantGoAway(http2.ErrCodeEnhanceYourCalm)
				down.WantClosed()
				wantCounter(t, "OwnResets", &r.counters.OwnResets, 1)
			})
		})
	}
}

// Frames that carry nothing, of any kind and of all kinds together.
func TestLimitNoise(t *testing.T) {
	attacks := map[string]func(down *loomtest.Downstream, id uint32){
		"ping":              func(down *loomtest.Downstream, _ uint32) { down.Ping([8]byte{}) },
		"settings":          func(down *loomtest.Downstream, _ uint32) { down.Settings() },
		"priority":          func(down *loomtest.Downstream, _ uint32) { down.RawFrame(http2.FramePriority, 0, 77, make([]byte, 5)) },
		"empty data":        func(down *loomtest.Downstream, id uint32) { down.RawData(id, nil, false) },
		"padding only":      func(down *loomtest.Downstream, id uint32) { down.DataPadded(id, nil, 0, false) },
		"window update":     func(down *loomtest.Downstream, _ uint32) { down.WindowUpdate(0, 1) },
		"stream's update":   func(down *loomtest.Downstream, id uint32) { down.WindowUpdate(id, 1) },
		"unknown frame":     func(down *loomtest.Downstream, id uint32) { down.RawFrame(0x99, 0, id, nil) },
		"reset of an ended": func(down *loomtest.Downstream, _ uint32) { down.Reset(1, http2.ErrCodeCancel) },
	}
	run := func(t *testing.T, attack func(down *loomtest.Downstream, id uint32, i int)) {
		inMemory(t, func(t *testing.T, r *rig) {
			down := r.caller()
			down.Reset(down.Open(method), http2.ErrCodeCancel)
			id := down.Open(method)
			n := until(t, down, 1200, func(i int) { attack(down, id, i) })
			if n < 990 {
				t.Fatalf("the connection ended after %d frames", n)
			}
			down.WantGoAway(http2.ErrCodeEnhanceYourCalm)
			down.WantClosed()
			wantCounter(t, "Noise", &r.counters.Noise, 1)
		})
	}
	var all []func(down *loomtest.Downstream, id uint32)
	for name, attack := range attacks {
		all = append(all, attack)
		t.Run(name, func(t *testing.T) {
			run(t, func(down *loomtest.Downstream, id uint32, _ int) { attack(down, id) })
		})
	}
	t.Run("all kinds", func(t *testing.T) {
		run(t, func(down *loomtest.Downstream, id uint32, i int) { all[i%len(all)](down, id) })
	})
	t.Run("slowly", func(t *testing.T) {
		inMemory(t, func(t *testing.T, r *rig) {
			down := r.caller()
			for range 3000 {
				down.Ping([8]byte{})
				time.Sleep(11 * time.Millisecond)
			}
			down.WantNothing(time.Second)
			wantCounter(t, "Noise", &r.counters.Noise, 0)
		})
	})
}

// A caller that has the relay answer and does not read the answers.
func TestLimitControlReplies(t *testing.T) {
	attacks := map[string]func(down *loomtest.Downstream){
		"ping":     func(down *loomtest.Downstream) { down.Ping([8]byte{}) },
		"settings": func(down *loomtest.Downstream) { down.Settings() },
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) {
				mine, theirs := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
				r.serve(theirs)
				down := loomtest.NewDownstream(t, mine)
				down.WantSettingsAck()
				theirs.SetWriteCapacity(0)
				for range 1000 {
					attack(down)
				}
				synctest.Wait()
				wantCounter(t, "ControlReplies", &r.counters.ControlReplies, 0)
				for range 10 {
					attack(down)
				}
				down.WantClosed()
				if n := r.counters.ControlReplies.Load(); n == 0 {
					t.Error("ControlReplies = 0")
				}
			}, func(o *rigOptions) { o.limits.Noise = h2.Rate{Burst: 100_000, PerSecond: 1} })
		})
	}
}

// A backend has the same limits as a caller.
func TestLimitsOfABackend(t *testing.T) {
	attacks := map[string]struct {
		attack  func(up *loomtest.Upstream, id uint32)
		counter func(c *h2.Counters) *atomic.Uint64
	}{
		"ping":     {func(up *loomtest.Upstream, _ uint32) { up.Ping([8]byte{}) }, func(c *h2.Counters) *atomic.Uint64 { return &c.Noise }},
		"settings": {func(up *loomtest.Upstream, _ uint32) { up.Settings() }, func(c *h2.Counters) *atomic.Uint64 { return &c.Noise }},
		"interim":  {func(up *loomtest.Upstream, id uint32) { up.HeaderBlock(id, false, loomtest.KV(":status", "103")) }, func(c *h2.Counters) *atomic.Uint64 { return &c.Noise }},
		"goaway":   {func(up *loomtest.Upstream, id uint32) { up.GoAway(id, http2.ErrCodeNo, "") }, func(c *h2.Counters) *atomic.Uint64 { return &c.Noise }},
		"continuations": {func(up *loomtest.Upstream, id uint32) {
			up.HeaderBlockSplit(id, false, loomtest.KV(":status", "103"), make([]int, 20)...)
		}, func(c *h2.Counters) *atomic.Uint64 { return &c.Continuations }},
		"header flood": {func(up *loomtest.Upstream, id uint32) {
			up.Headers(id, "x", strings.Repeat("~", 132<<10), "y", strings.Repeat("~", 132<<10))
		}, func(c *h2.Counters) *atomic.Uint64 { return &c.HeaderFloods }},
	}
	for name, tt := range attacks {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) {
				down, id, up, upID := open(t, r)
				for i := 0; up.Alive(); i++ {
					if i > 1200 {
						t.Fatal("the attack goes on")
					}
					tt.attack(up, upID)
					synctest.Wait()
				}
				wantCounter(t, name, tt.counter(r.counters), 1)
				for {
					e, err := down.Next(id, time.Second)
					if err != nil && !errors.Is(err, loomtest.ErrStalled) {
						t.Fatal(err)
					}
					if e.Kind == loomtest.KindHeaders && e.Block.EndStream {
						if got := e.Block.Get("grpc-status"); got != "14" {
							t.Fatalf("status %q", got)
						}
						return
					}
				}
			})
		})
	}
}
