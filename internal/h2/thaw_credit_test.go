package h2_test

import (
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// both has the connections of a relay written down together.
func (r *relayed) both() {
	r.t.Helper()
	r.rebirth(r.downConn, r.upConn)
	synctest.Wait()
}

// Credit goes back to the caller as bytes leave, wherever they were when the
// connections were written down: not too early, and none is lost.
func TestThawKeepsCredit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRelayed(t, limits(func(l *h2.Limits) { l.ConnWindow = 1 << 16 }))
		id, up := r.open()
		if n := r.fill(id); n != 65535 {
			t.Fatalf("the first window is %d", n)
		}
		r.both()
		r.wantWindow(id, 0)
		r.up.WindowUpdate(up, 30000)
		r.up.WantBytes(up, 30000)
		r.both()
		r.wantWindow(id, 0) // half a window at a time
		r.up.WindowUpdate(up, 10000)
		r.up.WantBytes(up, 10000)
		r.wantWindow(id, 40000)
		r.both()
		r.wantWindow(id, 40000)
		n := r.fill(id)
		r.both()
		if held, want := r.budget.Used(), 25535+n; held > want || held < want-16<<10 {
			t.Errorf("%d bytes are buffered, want about %d", held, want)
		}
		r.up.WindowUpdate(up, 1<<20)
		r.up.WantBytes(up, int(25535+n))
		synctest.Wait()
		if held := r.budget.Used(); held != 0 {
			t.Errorf("%d bytes are buffered, want 0", held)
		}
	})
}

// A connection whose cap holds its credit back gets it as bytes leave.
func TestThawKeepsCreditThatIsHeld(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const buffered = 200_000
		r := newRelayed(t, limits(func(l *h2.Limits) { l.ConnWindow, l.Buffered = 1<<16, buffered }))
		ups := make(map[uint32]int64)
		var last uint32
		for range 10 {
			id, up := r.open()
			ups[up] = r.fill(id)
			last = id
			r.both()
		}
		if got := r.counters.ConnCreditHeld.Load(); got == 0 {
			t.Fatal("no credit is held back")
		}
		_, before := r.down.Window(last)
		for up, n := range ups {
			if n > 0 {
				r.up.WindowUpdate(up, uint32(n))
				r.up.WantBytes(up, int(n))
				r.both()
			}
		}
		if _, after := r.down.Window(last); after < 1<<15 {
			t.Errorf("the connection's window was %d and is %d, though nothing is buffered", before, after)
		}
		if n := r.fill(last); n == 0 {
			t.Error("the caller may not send")
		}
	})
}

// Bytes that are on their way when their stream ends count for the connection
// until they have left.
func TestThawKeepsCreditOfStreamsThatEnded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t, limits(func(l *h2.Limits) { l.ConnWindow, l.Buffered = 1<<16, 1<<16 }))
		conn, backend := h.rawPipe()
		upConn := h.serve(conn, false, nil)
		backend.answerGreeting(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
		backend.windowUpdate(0, 1<<30)
		backend.frames()
		downConn, down := h.downstream(relayTo(upConn), manual)
		id := down.Open("/s/m")
		backend.frames()
		conn.SetWriteCapacity(0)
		down.RawData(id, make([]byte, 60000), true)
		synctest.Wait()
		down.Reset(id, http2.ErrCodeCancel)
		synctest.Wait()
		if n := downConn.Streams(); n != 0 {
			t.Fatalf("%d streams are open", n)
		}
		for range 3 {
			h.rebirth(downConn, upConn)
			synctest.Wait()
		}
		if used := h.budget.Used(); used != 60000 {
			t.Errorf("%d bytes are buffered, want 60000", used)
		}
		conn.SetWriteCapacity(1 << 30)
		synctest.Wait()
		if used := h.budget.Used(); used != 0 {
			t.Errorf("%d bytes are buffered, want 0", used)
		}
		if _, window := down.Window(0); window < 60000 {
			t.Errorf("the connection's window is %d", window)
		}
		_ = backend.conn.Close()
	})
}

// Two callers share a connection to the backend: each gets its own credit.
func TestThawOfThreeConnections(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		upConn, up := h.upstream(manual, noWindow())
		up.WindowUpdate(0, 1<<30)
		synctest.Wait()
		conns := []*served{upConn}
		var downs []*loomtest.Downstream
		ids := make(map[int]uint32)
		for i := range 2 {
			c, down := h.downstream(relayTo(upConn), manual)
			synctest.Wait()
			down.Open("/s/m")
			ids[i], _ = up.WantCall()
			down.RawData(1, make([]byte, 65535-i), false)
			conns, downs = append(conns, c), append(downs, down)
		}
		synctest.Wait()
		for range 5 {
			h.rebirth(conns...)
			synctest.Wait()
		}
		for i, down := range downs {
			up.WindowUpdate(ids[i], 1<<20)
			up.WantBytes(ids[i], 65535-i)
			synctest.Wait()
			if got, _ := down.Window(1); got < 65535-1 {
				t.Errorf("caller %d has a window of %d", i, got)
			}
			for k := i + 1; k < len(downs); k++ {
				if got, _ := downs[k].Window(1); got > 1 {
					t.Errorf("caller %d has a window of %d, and nothing of it has left", k, got)
				}
			}
		}
	})
}

// A connection with bytes of one that is not written down gives nobody credit,
// and does no harm; the one that stays gets what it is owed.
func TestThawWithoutTheOtherEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRelayed(t)
		id, up := r.open()
		r.fill(id)
		r.rebirth(r.upConn)
		r.wantWindow(id, 2*65535) // what moved away counts as sent, and the window grows
		r.up.WindowUpdate(up, 1<<20)
		r.up.WantBytes(up, 65535)
		r.wantWindow(id, 2*65535)
	})
}

// holder is an heir whose receivers still have all bytes that came.
type holder struct {
	heir
	held map[uint32]int
}

func (h holder) Stream(id uint32) (*h2.Stream, h2.Receiver, int) {
	s, recv, _ := h.heir.Stream(id)
	return s, recv, h.held[id]
}

// Bytes that a receiver has in hand give credit when it lets go of them.
func TestThawWithBytesInHand(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		h := newHost(t)
		s, down := h.downstream(func(l *leg) {
			l.onData = func(*h2.Batch, *h2.Stream, []byte, bool) {} // keeps it
		}, manual)
		id := down.Open("/s/m")
		l := s.leg()
		l.want("headers")
		down.RawData(id, make([]byte, 60000), false)
		synctest.Wait()
		f := s.mustPause()
		blob, err := f.Marshal(nil)
		if err != nil {
			t.Fatal(err)
		}
		nc, err := f.Detach()
		if err != nil {
			t.Fatal(err)
		}
		_ = s.wantEnd()
		do(func(b *h2.Batch) { l.Discard(b, 60000) }) // the first process has let go, too
		thawed, err := h2.Thaw(nc, h.opts, holder{heir{s}, map[uint32]int{id: 60000}}, blob)
		if err != nil {
			t.Fatal(err)
		}
		s.Conn = thawed.Conn
		s.run()
		synctest.Wait()
		if used := h.budget.Used(); used != 60000 {
			t.Errorf("%d bytes are buffered, want 60000", used)
		}
		do(func(b *h2.Batch) { l.Discard(b, 60000) })
		down.WantWindowUpdate(id, 60000)
		if used := h.budget.Used(); used != 0 {
			t.Errorf("%d bytes are buffered, want 0", used)
		}
	})
}
