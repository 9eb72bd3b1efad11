package relay_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/callevent"
	"loom/internal/loomtest"
)

// noStreamWindow has a receiver take nothing on streams, ever.
func noStreamWindow() http2.Setting { return setting(http2.SettingInitialWindowSize, 0) }

// A receiver whose window stays shut: the sender is held back by what loom lets
// it send, and after five minutes both ends are told that this goes nowhere.
func TestLimitStall(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, up bool) {
		f := startFlow(t, r, up, noStreamWindow())
		start := time.Now()
		if err := f.from.Send(f.fromID, make([]byte, 65535), false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(r.opts.limits.Stall - time.Second)
		f.from.WantNothing(time.Millisecond)
		if stream, _ := f.from.Window(f.fromID); stream != 0 {
			t.Fatalf("the sender was given %d bytes more", stream)
		}
		f.from.WantReset(f.fromID, http2.ErrCodeCancel)
		f.to.WantReset(f.toID, http2.ErrCodeCancel)
		if took := time.Since(start); took < r.opts.limits.Stall || took > r.opts.limits.Stall+time.Second {
			t.Errorf("ended after %v", took)
		}
		wantCounter(t, "Stalls", &r.counters.Stalls, 1)
		r.settle()
		if s := r.observer.only(); s.Reason != "STREAM_STALLED" || s.Ender != callevent.ByLoom {
			t.Errorf("summary %+v", s)
		}
	})
}

// A backend that neither answers nor takes the request.
func TestStallBeforeTheAnswer(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down := r.caller(loomtest.Timeout(time.Hour))
		id := down.Open(method)
		up := r.ups.Accept(loomtest.WithSettings(noStreamWindow()))
		upID, _ := up.WantCall()
		up.WantSettingsAck()
		down.Data(id, []byte("question"), true)
		time.Sleep(r.opts.limits.Stall - time.Second)
		down.WantNothing(time.Millisecond)
		down.WantReset(id, http2.ErrCodeCancel)
		up.WantReset(upID, http2.ErrCodeCancel)
		wantCounter(t, "Stalls", &r.counters.Stalls, 1)
	})
}

// One that takes a little now and then is slow, not stuck.
func TestSlowIsNotStalled(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, up bool) {
		f := startFlow(t, r, up, noStreamWindow())
		payload := bytes.Repeat([]byte("slow"), 10)
		if err := f.from.Send(f.fromID, payload, true); err != nil {
			t.Fatal(err)
		}
		for i := range payload {
			time.Sleep(r.opts.limits.Stall - time.Second)
			f.to.WindowUpdate(f.toID, 1)
			if got := f.to.WantBytes(f.toID, 1); got[0] != payload[i] {
				t.Fatalf("byte %d is %q", i, got)
			}
		}
		f.to.WantEnd(f.toID)
		wantCounter(t, "Stalls", &r.counters.Stalls, 0)
	})
}

// An idle stream is no stalled one.
func TestIdleIsNotStalled(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down, id, up, upID := open(t, r)
		time.Sleep(24 * time.Hour)
		up.Reply(upID, []byte("answer"))
		wantReply(t, down, id, "answer")
	})
}

// The socket of the receiver takes nothing at all.
func TestStalledSocket(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		mine, theirs := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
		r.serve(theirs)
		down := loomtest.NewDownstream(t, mine, loomtest.Timeout(time.Hour))
		id := down.Open(method)
		up := r.ups.Accept()
		upID, _ := up.WantCall()
		up.Headers(upID)
		down.WantHeaders(id)
		theirs.SetWriteCapacity(0)
		start := time.Now()
		if err := up.Send(upID, make([]byte, 60000), false); err != nil {
			t.Fatal(err)
		}
		for e := (loomtest.Event{}); e.Kind != loomtest.KindReset; {
			var err error
			if e, err = up.Next(upID, time.Hour); err != nil {
				t.Fatalf("upstream: want RST_STREAM: %v", err)
			}
		}
		if took := time.Since(start); took < r.opts.limits.Stall || took > r.opts.limits.Stall+2*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// Streams that are stuck stop nobody else, until the connection holds its cap;
// then they slow only their own connection.
func TestStuckStreamsStopNobodyElse(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, up bool) {
		const stuck = 20
		flows := startFlows(t, r, up, stuck, noStreamWindow())
		for _, f := range flows {
			if err := f.from.Send(f.fromID, make([]byte, 65535), false); err != nil {
				t.Fatalf("the stuck streams block each other: %v", err)
			}
		}
		// One of them is given all the window that it wants.
		free := flows[stuck/2]
		free.to.WindowUpdate(free.toID, 1<<30)
		free.to.SetAuto(loomtest.AutoConnWindow, true)
		free.to.WindowUpdate(0, 1<<20)
		payload := bytes.Repeat([]byte("0123456789"), 100_000)
		sent := make(chan error, 1)
		go func() { sent <- free.from.Send(free.fromID, payload, true) }()
		got := free.to.WantBytes(free.toID, 65535+len(payload))
		if !bytes.Equal(got[65535:], payload) {
			t.Fatal("bytes were lost or came out of order")
		}
		free.to.WantEnd(free.toID)
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if held := r.budget.Used(); held < (stuck-1)*60000 || held > (stuck+1)*65536 {
			t.Errorf("the budget says that %d bytes are held", held)
		}
	})
}

// startFlows opens n calls on one pair of connections.
func startFlows(t *testing.T, r *rig, up bool, n int, settings ...http2.Setting) []flow {
	t.Helper()
	flows := []flow{startFlow(t, r, up, settings...)}
	first := flows[0]
	down, u := &loomtest.Downstream{Peer: first.to}, &loomtest.Upstream{Peer: first.from}
	if up {
		down, u = &loomtest.Downstream{Peer: first.from}, &loomtest.Upstream{Peer: first.to}
	}
	for i := range uint32(n - 1) {
		id := 3 + 2*i
		down.Headers(id, method)
		upID, _ := u.WantCall()
		u.Headers(upID)
		down.WantHeaders(id)
		f := flow{u.Peer, down.Peer, upID, id}
		if up {
			f = flow{down.Peer, u.Peer, id, upID}
		}
		flows = append(flows, f)
	}
	return flows
}

// A sender gets back exactly the credit for what has left, however small the
// pieces were: half a window's worth of bytes brings half a window.
func TestEveryByteOfCreditComesBack(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, up bool) {
		f := startFlow(t, r, up)
		f.to.SetAuto(noWindows, true)
		const pieces, size = 993, 33 // one byte more than half of 65,535
		for range pieces {
			f.from.RawData(f.fromID, make([]byte, size), false)
			f.to.WantBytes(f.toID, size)
		}
		if got := f.from.WantWindowUpdate(f.fromID, 1); got != pieces*size {
			t.Fatalf("the stream was given %d bytes for %d", got, pieces*size)
		}
	}, func(o *rigOptions) { o.limits.MaxWindow = o.limits.StreamWindow })
}

// The cap of a connection holds credit back, and gives it again.
func TestLimitBufferedPerConnection(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, up bool) {
		const streams = 40
		flows := startFlows(t, r, up, streams, noStreamWindow())
		// More than the cap of 1 MiB: somewhere the sender finds no window.
		sent := 0
		var stopped error
		for _, f := range flows {
			if stopped = f.from.Send(f.fromID, make([]byte, 65535), false); stopped != nil {
				break
			}
			sent += 65535
		}
		if stopped == nil {
			t.Fatalf("%d bytes went into a cap of %d", sent, r.opts.limits.Buffered)
		}
		if held := r.budget.Used(); held > int64(r.opts.limits.Buffered) {
			t.Errorf("%d bytes are held, the cap is %d", held, r.opts.limits.Buffered)
		}
		if n := r.counters.ConnCreditHeld.Load(); n == 0 {
			t.Error("ConnCreditHeld = 0")
		}
		// Once the receiver takes them, the credit comes back.
		f := flows[0]
		f.to.SetAuto(loomtest.AutoConnWindow, true)
		f.to.WindowUpdate(0, 1<<30)
		for _, f := range flows {
			f.to.WindowUpdate(f.toID, 1<<20)
		}
		synctest.Wait()
		last := flows[streams-1]
		if err := last.from.Send(last.fromID, make([]byte, 300_000), true); err != nil {
			t.Fatalf("no credit after the receiver took all: %v", err)
		}
	}, func(o *rigOptions) { o.limits.Buffered, o.limits.ConnWindow = 1<<20, 256<<10 })
}

// At the cap of the process the stream that is stuck longest goes.
func TestLimitBufferedPerProcess(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, up bool) {
		flows := startFlows(t, r, up, 10, noStreamWindow())
		for _, f := range flows {
			if err := f.from.Send(f.fromID, make([]byte, 65535), false); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if used := r.budget.Used(); used > r.opts.budget {
			t.Errorf("%d bytes are held, the cap is %d", used, r.opts.budget)
		}
		n := int(r.counters.BudgetResets.Load())
		if n == 0 || n > 8 {
			t.Fatalf("BudgetResets = %d", n)
		}
		for i, f := range flows {
			if i < n {
				f.from.WantReset(f.fromID, http2.ErrCodeCancel)
				f.to.WantReset(f.toID, http2.ErrCodeCancel)
				continue
			}
			if e, err := f.from.Next(f.fromID, time.Millisecond); err == nil {
				t.Errorf("stream %d of %d, which is not the oldest, got %v", i, len(flows), e)
			}
		}
		// The rest goes on.
		last := flows[9]
		last.to.WindowUpdate(last.toID, 65535)
		last.to.WantBytes(last.toID, 65535)
	}, func(o *rigOptions) { o.budget = 400_000 })
}

// What is kept for a second try counts, too: when there is no room for it the
// call goes on without.
func TestKeptRequestYieldsToTheBudget(t *testing.T) {
	inMemory(t, func(t *testing.T, r *rig) {
		down, id, up, upID := open(t, r)
		if err := down.Send(id, make([]byte, 20_000), false); err != nil {
			t.Fatal(err)
		}
		up.WantBytes(upID, 20_000)
		up.GoAway(0, http2.ErrCodeNo, "")
		wantLost(t, down, id)
	}, func(o *rigOptions) { o.budget = 10_000 })
}

// A deadline ends a call on time, whatever waits.
func TestDeadline(t *testing.T) {
	t.Run("backend silent", func(t *testing.T) {
		inMemory(t, func(t *testing.T, r *rig) {
			down := r.caller()
			start := time.Now()
			id := down.Unary(method, []byte("question"), "grpc-timeout", "250m")
			up := r.ups.Accept()
			upID, request := up.WantCall()
			if request.Get("grpc-timeout") != "250m" {
				t.Fatalf("upstream got %v", request)
			}
			down.WantStatus(id, codes.DeadlineExceeded)
			if took := time.Since(start); took != 300*time.Millisecond {
				t.Errorf("ended after %v", took)
			}
			up.WantMessage(upID)
			up.WantEnd(upID)
			up.WantReset(upID, http2.ErrCodeCancel)
		})
	})
	t.Run("backend's own status wins", func(t *testing.T) {
		inMemory(t, func(t *testing.T, r *rig) {
			down := r.caller()
			id := down.Unary(method, []byte("question"), "grpc-timeout", "250m")
			up := r.ups.Accept()
			upID, _ := up.WantCall()
			time.Sleep(270 * time.Millisecond)
			up.TrailersOnly(upID, codes.DeadlineExceeded, "grpc-message", "mine")
			if tr := down.WantStatus(id, codes.DeadlineExceeded); tr.Get("grpc-message") != "mine" {
				t.Errorf("trailers %v", tr)
			}
		})
	})
	t.Run("waiting for a connection", func(t *testing.T) {
		inMemory(t, func(t *testing.T, r *rig) {
			r.dialer.SetDialHook(neverDial)
			down := r.caller()
			start := time.Now()
			id := down.Unary(method, []byte("question"), "grpc-timeout", "1S")
			down.WantStatus(id, codes.DeadlineExceeded)
			if took := time.Since(start); took != 1050*time.Millisecond {
				t.Errorf("ended after %v", took)
			}
		})
	})
	t.Run("in the middle of an answer that nobody takes", func(t *testing.T) {
		inMemory(t, func(t *testing.T, r *rig) {
			down := r.caller(loomtest.WithSettings(noStreamWindow()))
			id := down.Unary(method, []byte("question"), "grpc-timeout", "1S")
			up := r.ups.Accept()
			upID, _ := up.WantCall()
			up.Headers(upID)
			up.Data(upID, []byte("answer"), false)
			down.WantHeaders(id)
			time.Sleep(1100 * time.Millisecond)
			// The backend is let go at once. The caller gets what is left when it
			// takes it.
			up.WantMessage(upID)
			up.WantEnd(upID)
			up.WantReset(upID, http2.ErrCodeCancel)
			down.WindowUpdate(id, 100)
			down.WantMessage(id)
			down.WantStatus(id, codes.DeadlineExceeded)
		})
	})
}
