package loomtest_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/loomtest"
)

// pair plays both ends of one connection.
func pair(t testing.TB, opts ...loomtest.Option) (*loomtest.Downstream, *loomtest.Upstream) {
	a, b := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
	return loomtest.NewDownstream(t, a, opts...), loomtest.NewUpstream(t, b)
}

func TestPeersUnaryCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, up := pair(t)
		id := down.Unary("/a.B/C", []byte("ping"), "x-one", "1", "x-one", "2")

		got, request := up.WantCall()
		if got != id || request.Get(":path") != "/a.B/C" || len(request.Values("x-one")) != 2 {
			t.Fatalf("call %d with %v", got, request)
		}
		if msg := up.WantMessage(id); string(msg) != "ping" {
			t.Fatalf("message %q", msg)
		}
		up.WantEnd(id)
		up.Reply(id, []byte("pong"))

		if h := down.WantHeaders(id); h.Get(":status") != "200" {
			t.Fatalf("headers %v", h)
		}
		if msg := down.WantMessage(id); string(msg) != "pong" {
			t.Fatalf("message %q", msg)
		}
		if tr := down.WantTrailers(id); tr.Get("grpc-status") != "0" {
			t.Fatalf("trailers %v", tr)
		}
		down.WantNothing(time.Hour)
	})
}

func TestPeersControlFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, up := pair(t, loomtest.WithSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 20000}))
		if got := up.WantSettings(); len(got) != 1 || got[0].Val != 20000 {
			t.Fatalf("settings %v", got)
		}
		down.WantSettingsAck()
		down.Ping([8]byte{1, 2, 3})
		down.WantPingAck([8]byte{1, 2, 3})
		if got := up.WantPing(); got != [8]byte{1, 2, 3} {
			t.Fatalf("ping %v", got)
		}
		up.GoAway(7, http2.ErrCodeEnhanceYourCalm, "calm down")
		if got := down.WantGoAway(http2.ErrCodeEnhanceYourCalm); got.LastStreamID != 7 || got.Debug != "calm down" {
			t.Fatalf("goaway %+v", got)
		}
		up.Close()
		down.WantClosed()
	})
}

func TestPeersHeaderBlocksInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, up := pair(t)
		down.HeaderBlockSplit(1, false, loomtest.RequestFields("/a.B/C"), 3, 0, 5)
		if _, request := up.WantCall(); request.Frames != 4 || request.Get("te") != "trailers" {
			t.Fatalf("got %v in %d frames", request, request.Frames)
		}
		down.Headers(3, "/a.B/C", "x-long", strings.Repeat("~", 40000))
		if _, request := up.WantCall(); request.Frames != 3 || len(request.Get("x-long")) != 40000 {
			t.Fatalf("a block of 40,000 bytes came in %d frames", request.Frames)
		}
		up.TrailersOnly(3, codes.NotFound)
		down.WantStatus(3, codes.NotFound)
		up.Reset(1, http2.ErrCodeRefusedStream)
		down.WantReset(1, http2.ErrCodeRefusedStream)
	})
}

func TestPeersAutomaticAnswersCanBeTurnedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
		down := loomtest.NewDownstream(t, a, loomtest.Timeout(time.Second))
		up := loomtest.NewUpstream(t, b, loomtest.Without(loomtest.AutoConnWindow|loomtest.AutoStreamWindow))

		id := down.Open("/a.B/C")
		if err := down.Send(id, make([]byte, 65535), false); err != nil {
			t.Fatal(err)
		}
		err := down.Send(id, []byte("x"), false)
		wantErr(t, "send without window", err, loomtest.ErrStalled)
		up.WindowUpdate(0, 1)
		up.WindowUpdate(id, 1)
		if err := down.Send(id, []byte("x"), true); err != nil {
			t.Fatal(err)
		}
		up.WantCall()
		if got := up.WantBytes(id, 65536); got[65535] != 'x' {
			t.Fatal("bytes out of order")
		}
		up.WantEnd(id)

		up.SetAuto(loomtest.AutoPingAck, false)
		down.Ping([8]byte{9})
		up.WantPing()
		synctest.Wait()
		up.PingAck([8]byte{8})
		down.WantPingAck([8]byte{8})
	})
}

func TestPeersSendFollowsTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, up := pair(t)
		payload := bytes.Repeat([]byte("0123456789"), 50000)
		id := down.Open("/a.B/C")
		up.Settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
		if err := down.Send(id, payload, true); err != nil {
			t.Fatal(err)
		}
		up.WantCall()
		if got := up.WantBytes(id, len(payload)); !bytes.Equal(got, payload) {
			t.Fatal("bytes lost or out of order")
		}
		up.WantEnd(id)
	})
}

func TestPeersFailWithTheFramesSeen(t *testing.T) {
	tests := []struct {
		name   string
		script func(down *loomtest.Downstream, up *loomtest.Upstream)
		want   string
	}{
		{"other kind", func(down *loomtest.Downstream, up *loomtest.Upstream) {
			id := down.Open("/a.B/C")
			up.WantCall()
			up.Reset(id, http2.ErrCodeInternal)
			down.WantHeaders(id)
		}, "want HEADERS on stream 1, got RST_STREAM INTERNAL_ERROR"},
		{"other code", func(down *loomtest.Downstream, up *loomtest.Upstream) {
			id := down.Open("/a.B/C")
			up.WantCall()
			up.Reset(id, http2.ErrCodeInternal)
			down.WantReset(id, http2.ErrCodeCancel)
		}, "want RST_STREAM CANCEL on stream 1, got INTERNAL_ERROR"},
		{"other status", func(down *loomtest.Downstream, up *loomtest.Upstream) {
			id := down.Open("/a.B/C")
			up.WantCall()
			up.TrailersOnly(id, codes.Aborted)
			down.WantStatus(id, codes.OK)
		}, `want status OK on stream 1, got grpc-status "10"`},
		{"nothing in time", func(down *loomtest.Downstream, _ *loomtest.Upstream) {
			down.WantHeaders(down.Open("/a.B/C"))
		}, "no window in time"},
		{"connection closed", func(down *loomtest.Downstream, up *loomtest.Upstream) {
			id := down.Open("/a.B/C")
			up.WantCall()
			up.Cut()
			down.WantHeaders(id)
		}, "connection reset by peer"},
		{"something instead of nothing", func(down *loomtest.Downstream, up *loomtest.Upstream) {
			up.GoAway(0, http2.ErrCodeNo, "")
			down.WantNothing(time.Second)
		}, "want nothing for 1s, got GOAWAY NO_ERROR"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := &fakeTest{TB: t}
				down, up := pair(fake)
				failed := fatal(func() { tt.script(down, up) })
				fake.end()
				if !failed || len(fake.errors) == 0 {
					t.Fatal("the script passed")
				}
				if got := fake.errors[0]; !strings.Contains(got, tt.want) || !strings.Contains(got, "frames seen:") {
					t.Fatalf("failed with %q\nwant %q and the frames", got, tt.want)
				}
			})
		})
	}
}

// fatal runs f and reports whether a fakeTest ended it.
func fatal(f func()) (failed bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, failed = r.(*fakeTest); !failed {
				panic(r)
			}
		}
	}()
	f()
	return false
}
