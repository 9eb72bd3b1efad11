package relay_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/loomtest"
)

// noWindows keeps a peer from giving windows back by itself.
const noWindows = loomtest.AutoConnWindow | loomtest.AutoStreamWindow

// change sends one setting and waits until it is acknowledged.
func change(p *loomtest.Peer, id http2.SettingID, v uint32) {
	p.Settings(http2.Setting{ID: id, Val: v})
	p.WantSettingsAck()
}

// flow is one direction of a call whose receiver gives no windows by itself.
type flow struct {
	from, to     *loomtest.Peer
	fromID, toID uint32
}

// startFlow opens a call for bytes to go up, or down. The receiver starts with
// the given settings, which have been acknowledged. The answer has begun, so
// that nothing of the request is kept.
func startFlow(t *testing.T, r *rig, up bool, settings ...http2.Setting) flow {
	t.Helper()
	receiver := []loomtest.Option{loomtest.Without(noWindows), loomtest.WithSettings(settings...)}
	var downOpts, upOpts []loomtest.Option
	if up {
		upOpts = receiver
	} else {
		downOpts = receiver
	}
	down := r.caller(downOpts...)
	id := down.Open(method)
	u := r.ups.Accept(upOpts...)
	upID, _ := u.WantCall()
	u.WantSettingsAck()
	down.WantSettingsAck()
	u.Headers(upID)
	down.WantHeaders(id)
	if up {
		return flow{down.Peer, u.Peer, id, upID}
	}
	return flow{u.Peer, down.Peer, upID, id}
}

// neverDial is a dial hook under which a dial hangs until it is given up.
func neverDial(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// waitFor is a dial hook under which a dial waits until proceed is closed.
func waitFor(proceed <-chan struct{}) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-proceed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// bothWays runs a scenario for the request's bytes and for the answer's.
func bothWays(t *testing.T, scenario func(t *testing.T, r *rig, up bool), change ...func(*rigOptions)) {
	t.Helper()
	for name, up := range map[string]bool{"up": true, "down": false} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) { scenario(t, r, up) }, change...)
		})
	}
}

func setting(id http2.SettingID, v uint32) http2.Setting { return http2.Setting{ID: id, Val: v} }

// The receiver changes the windows of open streams, up and below zero; bytes
// go on as the new windows say, none lost, none too early.
func TestInitialWindowChangesMidStream(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, up bool) {
		f := startFlow(t, r, up, setting(http2.SettingInitialWindowSize, 1000))
		payload := bytes.Repeat([]byte("0123456789"), 3000)
		if err := f.from.Send(f.fromID, payload, false); err != nil {
			t.Fatal(err)
		}
		var got []byte
		want := func(n int) {
			t.Helper()
			got = append(got, f.to.WantBytes(f.toID, n)...)
			f.to.WantNothing(time.Second)
		}
		want(1000)
		change(f.to, http2.SettingInitialWindowSize, 1100)
		want(100)
		// Now the window is 0 - 1100, until updates lift it over zero.
		change(f.to, http2.SettingInitialWindowSize, 0)
		f.to.WindowUpdate(f.toID, 1000)
		f.to.WantNothing(time.Second)
		f.to.WindowUpdate(f.toID, 100)
		f.to.WantNothing(time.Second)
		f.to.WindowUpdate(f.toID, 7)
		want(7)
		change(f.to, http2.SettingInitialWindowSize, 1<<20)
		got = append(got, f.to.WantBytes(f.toID, len(payload)-len(got))...)
		if !bytes.Equal(got, payload) {
			t.Fatal("bytes were lost or came out of order")
		}
	})
}

// A sender that goes beyond the window that loom gave it, while nothing drains:
// it hears so, and the call ends for the other side.
func TestBeyondTheStreamWindow(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, up bool) {
		f := startFlow(t, r, up, setting(http2.SettingInitialWindowSize, 0))
		f.from.RawData(f.fromID, make([]byte, 65535), false)
		f.to.WantNothing(time.Second)
		f.from.WantNothing(time.Second)
		f.from.RawData(f.fromID, []byte("x"), false)
		f.from.WantReset(f.fromID, http2.ErrCodeFlowControl)
		if up {
			f.to.WantReset(f.toID, http2.ErrCodeCancel)
			return
		}
		f.to.WindowUpdate(f.toID, 65535)
		f.to.WantStatus(f.toID, codes.Internal)
	})
}

// A sender that goes beyond the connection's window breaks the connection.
func TestBeyondTheConnectionWindow(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, up bool) {
		f := startFlow(t, r, up, setting(http2.SettingInitialWindowSize, 0))
		// Twice 64 KiB is more than all of it.
		f.from.RawData(f.fromID, make([]byte, 2*65536), false)
		f.from.WantGoAway(http2.ErrCodeFlowControl)
		f.from.WantClosed()
		f.to.WindowUpdate(f.toID, 65535)
		if up {
			f.to.WantReset(f.toID, http2.ErrCodeCancel)
			return
		}
		f.to.WantStatus(f.toID, codes.Unavailable)
	}, func(o *rigOptions) {
		o.limits.ConnWindow, o.limits.Buffered, o.limits.StreamWindow = 65535, 65535, 1<<20
	})
}

// A new initial window applies to streams opened later, too, and the
// connection's window is none of its business.
func TestConnectionWindowIsApart(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, up bool) {
		f := startFlow(t, r, up, setting(http2.SettingInitialWindowSize, 1<<20))
		if err := f.from.Send(f.fromID, make([]byte, 65535), false); err != nil {
			t.Fatal(err)
		}
		f.to.WantBytes(f.toID, 65535)
		if err := f.from.Send(f.fromID, make([]byte, 100), false); err != nil {
			t.Fatal(err)
		}
		f.to.WantNothing(time.Second)
		change(f.to, http2.SettingInitialWindowSize, 2<<20)
		f.to.WantNothing(time.Second)
		f.to.WindowUpdate(0, 40)
		f.to.WantBytes(f.toID, 40)
		f.to.WantNothing(time.Second)
		f.to.WindowUpdate(0, 60)
		f.to.WantBytes(f.toID, 60)
	})
}

// The peer itself checks the size of each frame that comes.
func TestMaxFrameSizeChangesMidStream(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, up bool) {
		f := startFlow(t, r, up, setting(http2.SettingMaxFrameSize, 1<<20))
		f.to.SetAuto(noWindows, true)
		for _, size := range []uint32{1 << 14, 1<<24 - 1, 1 << 14} {
			if err := f.from.Send(f.fromID, make([]byte, 100_000), false); err != nil {
				t.Fatal(err)
			}
			f.to.WantBytes(f.toID, 100_000)
			change(f.to, http2.SettingMaxFrameSize, size)
		}
	})
}

// A peer takes its dynamic table away and gives it back, mid-connection and
// twice between two blocks; loom's encoder follows (the peer checks the size
// updates) and its blocks stay right.
func TestHeaderTableSizeChanges(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller(loomtest.WithSettings(setting(http2.SettingHeaderTableSize, 0)))
		down.WantSettingsAck()
		var up *loomtest.Upstream
		for round, sizes := range [][]uint32{{}, {0}, {4096}, {0, 4096}, {100}, {1 << 16}, {0, 1 << 16, 50}, {4096, 0}, {4096}} {
			for _, size := range sizes {
				change(down.Peer, http2.SettingHeaderTableSize, size)
				if up != nil {
					change(up.Peer, http2.SettingHeaderTableSize, size)
				}
			}
			for range 3 {
				agent := strings.Repeat("agent", 1+round)
				id := down.Unary(method, []byte("question"), "user-agent", agent)
				if up == nil {
					up = r.ups.Accept()
					up.WantSettingsAck()
				}
				upID, request := up.WantCall()
				if got := request.Get("user-agent"); got != agent {
					t.Fatalf("round %d: upstream got user-agent %q", round, got)
				}
				up.Headers(upID, "server", agent)
				up.Data(upID, []byte("answer"), false)
				up.Trailers(upID, codes.OK)
				if h := down.WantHeaders(id); h.Get("server") != agent {
					t.Fatalf("round %d: downstream got %v", round, h)
				}
				down.WantMessage(id)
				down.WantTrailers(id)
			}
		}
	})
}

// MAX_CONCURRENT_STREAMS of the backend: calls beyond it use further
// connections, then wait, and go on when room comes.
func TestMaxConcurrentStreamsOfTheBackend(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		one := loomtest.WithSettings(setting(http2.SettingMaxConcurrentStreams, 1))
		down := r.caller()
		first := down.Unary(method, []byte("question"))
		a := r.ups.Accept(one)
		aID := wantQuestion(t, a)
		a.WantSettingsAck()
		second := down.Unary(method, []byte("question"))
		b := r.ups.Accept(one)
		bID := wantQuestion(t, b)
		b.WantSettingsAck()
		third := down.Unary(method, []byte("question"))
		r.ups.WantNone(time.Second)

		a.Reply(aID, []byte("one"))
		wantReply(t, down, first, "one")
		thirdID := wantQuestion(t, a)
		// To zero while calls are open: they go on, new ones wait.
		change(a.Peer, http2.SettingMaxConcurrentStreams, 0)
		a.Reply(thirdID, []byte("three"))
		wantReply(t, down, third, "three")
		b.Reply(bID, []byte("two"))
		wantReply(t, down, second, "two")
		change(b.Peer, http2.SettingMaxConcurrentStreams, 0)
		fourth := down.Unary(method, []byte("question"))
		synctest.Wait()
		if n := r.relay.OpenCalls(); n != 1 {
			t.Fatalf("%d calls are open, want the one that waits", n)
		}
		change(b.Peer, http2.SettingMaxConcurrentStreams, 1)
		b.Reply(wantQuestion(t, b), []byte("four"))
		wantReply(t, down, fourth, "four")
	}, func(o *rigOptions) { o.connections = 2 })
}

// Beyond limits.pending a call is refused, not queued.
func TestPendingCallsAreBounded(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		r.dialer.SetDialHook(neverDial)
		down := r.caller(loomtest.Timeout(time.Minute))
		waiting := []uint32{down.Unary(method, nil), down.Unary(method, nil)}
		refused := down.Unary(method, nil)
		// Its headers alone decide, so that the rest of the request is not wanted.
		down.WantStatus(refused, codes.Unavailable)
		down.WantReset(refused, http2.ErrCodeNo)
		down.WantNothing(time.Second)
		down.Reset(waiting[0], http2.ErrCodeCancel)
		synctest.Wait()
		third := down.Unary(method, nil)
		down.WantNothing(time.Second)
		// The dial gives up in the end, and with it those who waited for it.
		for _, id := range []uint32{waiting[1], third} {
			down.WantStatus(id, codes.Unavailable)
		}
	}, func(o *rigOptions) { o.pending = 2 })
}
