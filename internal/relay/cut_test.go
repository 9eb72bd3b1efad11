package relay_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/callevent"
	"loom/internal/loomtest"
)

// ends are the ways in which a connection goes.
func ends() map[string]func(p *loomtest.Peer) {
	return map[string]func(p *loomtest.Peer){
		"cut":        (*loomtest.Peer).Cut,
		"close":      (*loomtest.Peer).Close,
		"half-close": (*loomtest.Peer).CloseWrite,
	}
}

// recordExchange plays one call and returns what each end of it sent.
func recordExchange(t *testing.T, r *rig) (down, up []byte) {
	t.Helper()
	d := r.caller(loomtest.Recording())
	id := d.Unary(method, []byte("question"), "x-trace", "0123456789abcdef")
	u := r.ups.Accept(loomtest.Recording())
	upID := wantQuestion(t, u)
	u.WantEnd(upID)
	u.WantSettingsAck()
	u.Headers(upID, "x-served-by", "me")
	u.Data(upID, []byte("a message in two"), false)
	u.DataPadded(upID, loomtest.Message([]byte("padded")), 7, false)
	u.Trailers(upID, codes.OK, "x-sum", "42")
	d.WantStatus(id, codes.OK)
	synctest.Wait()
	down, up = d.Sent(), u.Sent()
	d.Close()
	u.Close()
	return down, up
}

// The backend's connection goes at every byte of its answer. The caller gets
// what came before, and then always a status; the call is never sent twice.
func TestBackendCutAtEveryByte(t *testing.T) {
	for name, end := range ends() {
		for _, requestOpen := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, request open %v", name, requestOpen), func(t *testing.T) {
				inMemory(t, func(t *testing.T, r *rig) {
					_, answer := recordExchange(t, r)
					whole := lengthToTrailers(t, answer)
					for n := range len(answer) + 1 {
						// Long enough for the back-off of the last round to be over.
						time.Sleep(time.Minute)
						t.Logf("after %d of %d bytes", n, len(answer))
						cutAnswer(t, r, answer[:n], n >= whole, requestOpen, end)
					}
				})
			})
		}
	}
}

// lengthToTrailers returns how many bytes of wire it takes to end the answer.
func lengthToTrailers(t *testing.T, wire []byte) int {
	t.Helper()
	frames, err := loomtest.ReadFrames(wire)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range frames {
		if f.Type == http2.FrameHeaders && f.Flags.Has(http2.FlagHeadersEndStream) {
			return len(loomtest.Wire(frames[:i+1]))
		}
	}
	t.Fatal("no trailers were recorded")
	return 0
}

func cutAnswer(t *testing.T, r *rig, answer []byte, whole, requestOpen bool, end func(*loomtest.Peer)) {
	t.Helper()
	down := r.caller()
	id := down.Open(method)
	down.Data(id, []byte("question"), !requestOpen)
	up := r.ups.Accept(loomtest.Silent(), loomtest.Without(loomtest.AutoAll))
	// The relay sends the call once the backend's SETTINGS, an empty frame, came.
	const settings = 9
	up.RawBytes(answer[:min(settings, len(answer))])
	if len(answer) >= settings {
		wantQuestion(t, up)
		up.RawBytes(answer[settings:])
	}
	end(up.Peer)
	want := codes.Unavailable
	if whole {
		want = codes.OK
	}
	down.WantStatus(id, want)
	if requestOpen {
		down.WantReset(id, http2.ErrCodeNo)
	}
	r.ups.WantNone(time.Millisecond)
	r.settle()
	down.Close()
	up.Close()
}

// The caller's connection goes at every byte of its request: whatever reached
// the backend is taken back there.
func TestCallerCutAtEveryByte(t *testing.T) {
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, r *rig) {
				request, _ := recordExchange(t, r)
				up := warmUp(t, r)
				seen := len(r.observer.all())
				for n := range len(request) + 1 {
					down := r.caller(loomtest.Silent(), loomtest.Without(loomtest.AutoAll))
					down.RawBytes(request[:n])
					synctest.Wait()
					end(down.Peer)
					down.WantClosed()
					r.settle()
					for _, s := range r.observer.all()[seen:] {
						seen++
						if s.Ender != callevent.ByCallerLost || s.Attempts != 1 {
							t.Fatalf("after %d of %d bytes: %+v", n, len(request), s)
						}
						wantTakenBack(t, up)
					}
					down.Close()
				}
				if seen < 10 {
					t.Fatalf("only %d calls came about", seen)
				}
			})
		})
	}
}

// wantTakenBack waits for a call that ends with RST_STREAM(CANCEL).
func wantTakenBack(t *testing.T, up *loomtest.Upstream) {
	t.Helper()
	id, _ := up.WantCall()
	for {
		e, err := up.Next(id, time.Minute)
		if err != nil {
			t.Fatalf("upstream: want RST_STREAM on stream %d: %v", id, err)
		}
		if e.Kind == loomtest.KindReset {
			if e.Code != http2.ErrCodeCancel {
				t.Fatalf("upstream: got %v on stream %d", e, id)
			}
			return
		}
	}
}

// The connection to the backend breaks at every byte that the relay writes on
// it. The call goes out again only if nothing of it was written, and the
// backend never sees it twice.
func TestWriteToBackendBreaksAtEveryByte(t *testing.T) {
	const past = 200 // more than the relay writes for the call
	for n := range past {
		inMemory(t, func(t *testing.T, r *rig) {
			served := serveAndCount(t, r, func(c *loomtest.Conn) { c.CutAfterWriting(int64(n)) })
			down := r.caller()
			id := down.Unary(method, []byte("question"))
			var block *loomtest.Block
			for block == nil || !block.EndStream {
				e, err := down.Next(id, time.Minute)
				if err != nil {
					t.Fatalf("after %d bytes: downstream: want a status: %v", n, err)
				}
				block = e.Block
			}
			status := block.Get("grpc-status")
			switch calls := served.Load(); {
			case calls > 1:
				t.Fatalf("after %d bytes: the backend served the call %d times", n, calls)
			case status == "0" && calls != 1, status != "0" && status != "14":
				t.Fatalf("after %d bytes: status %s, served %d times", n, status, calls)
			case n == past-1 && status != "0":
				t.Fatalf("%d bytes are not enough for one call", past)
			}
		})
	}
}

// serveAndCount has grpc-go be the backend of a rig in which no upstream is
// scripted. The first connection is handed to first.
func serveAndCount(t *testing.T, r *rig, first func(*loomtest.Conn)) *atomic.Int64 {
	t.Helper()
	served := new(atomic.Int64)
	b := &loomtest.Backend{Unary: func(_ context.Context, _ string, _ []byte) ([]byte, error) {
		served.Add(1)
		return []byte("answer"), nil
	}}
	ln := loomtest.Listen()
	b.Serve(t, ln)
	dialed := 0
	r.dial = func(ctx context.Context) (net.Conn, error) {
		c, err := ln.Dial(ctx)
		if err != nil {
			return nil, err
		}
		if dialed++; dialed == 1 {
			first(c)
		}
		return c, nil
	}
	return served
}

// The connection to the caller breaks at every byte that the relay writes on
// it: the backend hears of it, whether it has answered or not, as long as the
// request is open.
func TestWriteToCallerBreaksAtEveryByte(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		up := warmUp(t, r)
		calls := r.relay.Calls()
		for n := range 200 {
			mine, theirs := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
			theirs.CutAfterWriting(int64(n))
			r.serve(theirs)
			down := loomtest.NewDownstream(t, mine)
			down.Open(method)
			synctest.Wait()
			if r.relay.Calls() == calls {
				down.WantClosed()
				continue // the greeting was cut: no call came about
			}
			calls++
			id, _ := up.WantCall()
			up.Headers(id)
			up.Data(id, []byte("part"), false)
			synctest.Wait()
			if r.relay.OpenCalls() > 0 {
				up.Trailers(id, codes.OK)
			}
			r.settle()
			down.Close()
			up.WantReset(id, http2.ErrCodeCancel)
		}
		if r.relay.Calls() < 100 {
			t.Fatalf("only %d calls came about", r.relay.Calls())
		}
	})
}

// warmUp plays a call, so that there is a connection to the backend.
func warmUp(t *testing.T, r *rig) *loomtest.Upstream {
	t.Helper()
	down := r.caller()
	id := down.Unary(method, []byte("question"))
	up := r.ups.Accept()
	upID := wantQuestion(t, up)
	up.WantEnd(upID)
	up.Reply(upID, nil)
	down.WantStatus(id, codes.OK)
	r.settle()
	return up
}
