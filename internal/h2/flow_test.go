package h2_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// relayed is a caller and a backend with connections under test between them.
type relayed struct {
	*host
	downConn, upConn *served
	down             *loomtest.Downstream
	up               *loomtest.Upstream
}

// manual leaves the giving back of windows to the script.
var manual = loomtest.Without(loomtest.AutoConnWindow | loomtest.AutoStreamWindow)

// newRelayed returns a relay with a backend that gives no window to streams.
func newRelayed(t *testing.T, change ...func(*h2.Options)) *relayed {
	t.Helper()
	r := &relayed{host: newHost(t, change...)}
	r.upConn, r.up = r.upstream(manual, noWindow())
	r.up.WindowUpdate(0, 1<<30)
	synctest.Wait()
	r.downConn, r.down = r.downstream(relayTo(r.upConn), manual)
	synctest.Wait()
	return r
}

// open opens a call and returns its ids downstream and upstream.
func (r *relayed) open() (down, up uint32) {
	r.t.Helper()
	down = r.down.Open("/s/m")
	up, _ = r.up.WantCall()
	return down, up
}

// fill sends as much on the stream as the windows take, and returns how much.
func (r *relayed) fill(id uint32) int64 {
	synctest.Wait()
	stream, conn := r.down.Window(id)
	n := max(0, min(stream, conn))
	if n > 0 {
		r.down.RawData(id, make([]byte, n), false)
	}
	synctest.Wait()
	return n
}

// wantWindow compares what the caller may send.
func (r *relayed) wantWindow(id uint32, stream int64) {
	r.t.Helper()
	synctest.Wait()
	if got, _ := r.down.Window(id); got != stream {
		r.t.Errorf("the window of stream %d is %d, want %d", id, got, stream)
	}
}

// The caller gets the stream's credit as its bytes leave for the backend, and
// the connection's at once.
func TestCreditComesAsBytesLeave(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRelayed(t, limits(func(l *h2.Limits) { l.ConnWindow = 1 << 16 }))
		id, up := r.open()
		if n := r.fill(id); n != 65535 {
			t.Fatalf("the first window is %d", n)
		}
		r.wantWindow(id, 0)
		if _, conn := r.down.Window(0); conn < 1<<15 {
			t.Errorf("the connection's window is %d, though only one stream is stuck", conn)
		}
		r.up.WindowUpdate(up, 30000)
		r.up.WantBytes(up, 30000)
		r.wantWindow(id, 0) // half a window at a time
		r.up.WindowUpdate(up, 10000)
		r.up.WantBytes(up, 10000)
		r.wantWindow(id, 40000) // what left, and no more: the rest is held here
		r.up.WindowUpdate(up, 25535)
		r.up.WantBytes(up, 25535)
		if held := r.budget.Used(); held != 0 {
			t.Errorf("%d bytes are buffered, want 0", held)
		}
	})
}

// Streams that are stuck cost a connection its window only once it holds as
// many bytes as it may, and it gets it back as they leave.
func TestConnectionCreditIsHeldOverTheCap(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const buffered = 200_000
		r := newRelayed(t, limits(func(l *h2.Limits) { l.ConnWindow, l.Buffered = 1<<16, buffered }))
		sent := int64(0)
		ups := make(map[uint32]int64)
		for range 10 {
			id, up := r.open()
			n := r.fill(id)
			ups[up] = n
			sent += n
		}
		if sent > buffered || sent < buffered-1<<16 {
			t.Errorf("%d bytes were taken from streams that are stuck; the cap is %d", sent, buffered)
		}
		if used := r.budget.Used(); used > sent || used < sent-16<<10 {
			t.Errorf("%d bytes are counted as buffered, of %d", used, sent)
		}
		if got := r.counters.ConnCreditHeld.Load(); got != 1 {
			t.Errorf("ConnCreditHeld = %d, want 1", got)
		}
		for up, n := range ups {
			if n == 0 {
				continue
			}
			r.up.WindowUpdate(up, uint32(n))
			r.up.WantBytes(up, int(n))
		}
		synctest.Wait()
		if _, conn := r.down.Window(0); conn < 1<<15 {
			t.Errorf("the connection's window is %d after all bytes have left", conn)
		}
	})
}

// The window of a stream of which everything leaves at once grows, up to its
// limit; that of one that waits for its receiver does not.
func TestWindowGrowsForWhoDrains(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const most = 300_000
		r := newRelayed(t, limits(func(l *h2.Limits) { l.MaxWindow = most }))
		id, up := r.open()
		r.up.WindowUpdate(up, 1<<30)
		widest := int64(0)
		for range 20 {
			r.fill(id)
			window, _ := r.down.Window(id)
			widest = max(widest, window)
		}
		if widest <= most/2 || widest > most {
			t.Errorf("the window grew to %d, want %d", widest, most)
		}

		id, up = r.open()
		slow := int64(0)
		for range 50 {
			slow += r.fill(id)
			r.up.WindowUpdate(up, 40000) // a part of what is held
			synctest.Wait()
			window, _ := r.down.Window(id)
			if window > 65535 {
				t.Fatalf("the window of a slow stream is %d", window)
			}
		}
		if slow < 50*30000 {
			t.Errorf("%d bytes of a slow stream went through", slow)
		}
	})
}

// Windows do not grow while half of the process's budget is in use.
func TestWindowStaysWhenMemoryIsShort(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRelayed(t)
		if !r.budget.Reserve(40 << 20) {
			t.Fatal("no room")
		}
		defer r.budget.Release(40 << 20)
		id, up := r.open()
		r.up.WindowUpdate(up, 1<<30)
		for range 50 {
			r.fill(id)
			if window, _ := r.down.Window(id); window > 65535 {
				t.Fatalf("the window grew to %d", window)
			}
		}
	})
}

// Padding counts against the windows, and comes back.
func TestPaddingGetsCredit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRelayed(t, limits(func(l *h2.Limits) { l.ConnWindow = 1 << 16 }))
		id, up := r.open()
		r.up.WindowUpdate(up, 1<<30)
		for i := range 1000 {
			r.down.DataPadded(id, make([]byte, i%3), 255, false)
			synctest.Wait()
			if stream, conn := r.down.Window(id); stream < 300 || conn < 300 {
				t.Fatalf("after %d frames the windows are %d and %d", i, stream, conn)
			}
		}
	})
}

// Once the caller has sent all, nobody needs the stream's window.
func TestNoCreditAfterTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		conn, peer := h.rawPipe()
		h.serve(conn, true, nil)
		peer.greet()
		peer.request(1, 0)
		for range 3 {
			peer.frame(http2.FrameData, 0, 1, make([]byte, 10000))
		}
		peer.frame(http2.FrameData, http2.FlagDataEndStream, 1, make([]byte, 16000))
		for _, f := range of(http2.FrameWindowUpdate, peer.frames()) {
			if f.StreamID != 0 {
				t.Errorf("%v", f)
			}
		}
		_ = peer.conn.Close()
	})
}

// However streams end, the connection keeps its window and the process its
// budget.
func TestNoCreditIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRelayed(t, limits(func(l *h2.Limits) { l.ConnWindow, l.Buffered = 1<<16, 150_000 }))
		rng := rand.New(rand.NewPCG(1, 0))
		total := int64(0)
		for range 150 {
			id, up := r.open()
			n := r.fill(id)
			total += n
			if n > 0 {
				r.up.WindowUpdate(up, uint32(rng.Int64N(n))+1)
			}
			if rng.IntN(2) == 0 {
				synctest.Wait()
			}
			switch rng.IntN(4) {
			case 0:
				r.down.Reset(id, http2.ErrCodeCancel)
			case 1:
				r.up.Reset(up, http2.ErrCodeCancel)
			case 2:
				r.down.HeaderBlock(id, false, loomtest.KV("a", "fault"))
			case 3:
				r.up.TrailersOnly(up, 0)
				synctest.Wait()
				r.down.Reset(id, http2.ErrCodeNo)
			}
			synctest.Wait()
			if used := r.budget.Used(); used != 0 {
				t.Fatalf("%d bytes are buffered for streams that are gone", used)
			}
		}
		_, conn := r.down.Window(0)
		if conn < 1<<15 || total < 150*30000 {
			t.Errorf("the window is %d after %d bytes", conn, total)
		}
	})
}
