package backend_test

import (
	"context"
	"errors"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/backend"
	"loom/internal/h2"
	"loom/internal/loomtest"
)

// Connections are added when the endpoint takes no more calls on those there
// are, up to the limit; then calls wait, up to the limit; then they are
// refused. Room goes to those who wait, in the order in which they came.
func TestMoreCallsThanStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, connections(3), pending(4))
		var ups []*loomtest.Upstream
		for i := range 3 {
			r.call(strconv.Itoa(2 * i))
			ups = append(ups, r.accept("a", maxStreams(2)))
			wantCall(t, ups[i], strconv.Itoa(2*i))
			r.call(strconv.Itoa(2*i + 1))
			wantCall(t, ups[i], strconv.Itoa(2*i+1))
		}
		var waiting []*call
		for i := range 4 {
			waiting = append(waiting, r.call(strconv.Itoa(6+i)))
		}
		r.call("one too many").want(t, "refused: "+backend.ErrPendingFull.Error())
		for i, end := range []struct {
			up     int
			stream uint32
		}{{2, 1}, {0, 3}, {0, 1}, {1, 1}} {
			waiting[i].want(t, "waits")
			ups[end.up].TrailersOnly(end.stream, codes.OK)
			wantCall(t, ups[end.up], waiting[i].name)
			waiting[i].want(t, "placed")
		}
		if n := r.dialled("a"); n != 3 {
			t.Fatalf("%d connections", n)
		}
		if n := r.counters.PendingRefused.Load(); n != 1 {
			t.Fatalf("PendingRefused = %d", n)
		}
		// The first call of each connection waited for it, four for room.
		if n := r.counters.CallsWaited.Load(); n != 3+4 {
			t.Fatalf("CallsWaited = %d", n)
		}
	})
}

// A call that comes when there is room again does not overtake those that
// have waited.
func TestNobodyOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, connections(1))
		up, first := r.warm(maxStreams(1))
		second := r.call("second")
		// The stream's end and the next call fall into one batch.
		b := h2.NewBatch()
		first.stream.Reset(b, h2.CodeCancel)
		third := &call{name: "third"}
		if err := r.backend.Open(b, third, backend.Pick{}); err != nil {
			t.Fatal(err)
		}
		b.Flush()
		up.WantReset(1, http2.ErrCodeCancel)
		wantCall(t, up, "second")
		second.want(t, "placed")
		third.want(t, "waits")
	})
}

// More room that the endpoint grants later goes to those who wait.
func TestSettingsRaiseTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, connections(1))
		up, _ := r.warm(maxStreams(1))
		r.call("1")
		r.call("2")
		last := r.call("3")
		up.Settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 3})
		wantCall(t, up, "1")
		wantCall(t, up, "2")
		last.want(t, "waits")
	})
}

// With pending 0, calls are refused at once; those that come when there is a
// connection go out.
func TestNoneMayWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, pending(0))
		r.call("early").want(t, "refused: "+backend.ErrPendingFull.Error())
		up := r.accept("a")
		synctest.Wait()
		r.call("later")
		wantCall(t, up, "later")
	})
}

// A call that ends while it waits makes its place free, whenever it says so.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, pending(1))
		r.listener("a").SetDialHook(hang)
		first := r.call("first")
		r.call("too many").want(t, "refused: "+backend.ErrPendingFull.Error())
		first.giveUp()
		r.backend.Forget(first)
		r.backend.Forget(first)

		// This one ended before it got into the queue.
		second := &call{name: "second"}
		second.giveUp()
		r.backend.Forget(second)
		r.open(second)

		third := r.call("third")
		third.want(t, "waits")
		time.Sleep(connectTimeout)
		first.want(t, "waits") // nobody spoke to it
		second.want(t, "waits")
		third.want(t, "refused: connect to a: no connection within 5s")
	})
}

// Whoever waits hears when the last hope is gone, and only then.
func TestLastHope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, targets("passthrough:///a", "passthrough:///b"))
		r.listener("a").SetDialHook(func(context.Context) error {
			time.Sleep(time.Second)
			return syscall.ECONNREFUSED
		})
		r.listener("b").SetDialHook(func(context.Context) error {
			time.Sleep(time.Second + backend.MinBackoff(0)/2)
			return errors.New("no route")
		})
		c, d := r.call("c"), r.call("d")
		time.Sleep(time.Second)
		c.want(t, "waits")
		time.Sleep(backend.MinBackoff(0) / 2)
		const want = "refused: none of 2 endpoints takes a connection: connect to b: no route"
		c.want(t, want)
		d.want(t, want)
	})
}

// A connection that breaks while calls wait for room on it is replaced for
// them.
func TestWaitingCallsOutliveTheConnection(t *testing.T) {
	for name, end := range map[string]func(*loomtest.Upstream){
		"cut":    func(up *loomtest.Upstream) { up.Cut() },
		"close":  func(up *loomtest.Upstream) { up.Close() },
		"goaway": func(up *loomtest.Upstream) { up.GoAway(1, http2.ErrCodeNo, "") },
		"fault":  func(up *loomtest.Upstream) { up.RawFrame(http2.FrameData, 0, 0, []byte("x")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, connections(1))
				up, _ := r.warm(maxStreams(1))
				one, two := r.call("one"), r.call("two")
				end(up)
				up2 := r.accept("a", maxStreams(1))
				wantCall(t, up2, "one")
				one.want(t, "placed")
				two.want(t, "waits")
			})
		})
	}
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, connections(1))
		up, open := r.warm(maxStreams(1))
		waits := r.call("waits")
		b := h2.NewBatch()
		r.backend.Drain(b)
		b.Flush()
		waits.want(t, "refused: "+backend.ErrStopped.Error())
		r.call("late").want(t, "refused: "+backend.ErrStopped.Error())
		time.Sleep(time.Minute)
		up.TrailersOnly(1, codes.OK)
		open.want(t, "replied")
		up.WantClosed()
		if n := r.dialled("a"); n != 1 {
			t.Fatalf("%d connections", n)
		}
	})
}

// A connection that was on its way when the backend drained takes no call.
func TestDrainWhileDialling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		waits := r.call("waits")
		up := r.accept("a", loomtest.Silent(), loomtest.Without(loomtest.AutoSettingsAck))
		b := h2.NewBatch()
		r.backend.Drain(b)
		b.Flush()
		waits.want(t, "refused: "+backend.ErrStopped.Error())
		up.Settings()
		up.SettingsAck()
		up.WantClosed()
	})
}

// Close ends what is open, what waits and what is on its way, at once.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, connections(2))
		up, open := r.warm(maxStreams(1))
		r.listener("a").SetDialHook(hang)
		waits := r.call("waits")
		synctest.Wait()
		start := time.Now()
		r.backend.Close()
		if took := time.Since(start); took != 0 {
			t.Fatalf("Close took %v", took)
		}
		open.want(t, "ended")
		waits.want(t, "refused: "+backend.ErrStopped.Error())
		r.call("late").want(t, "refused: "+backend.ErrStopped.Error())
		up.WantClosed()
		r.backend.Close()
	})
}

// Close in each state of a connection that is not ready yet, or rests.
func TestCloseWhileConnecting(t *testing.T) {
	for name, prepare := range map[string]func(r *rig){
		"dialling":    func(r *rig) { r.listener("a").SetDialHook(hang) },
		"no settings": func(*rig) {},
		"resting":     func(r *rig) { _ = r.listener("a").Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				prepare(r)
				r.call("c")
				synctest.Wait()
				start := time.Now()
				r.backend.Close()
				if took := time.Since(start); took != 0 {
					t.Fatalf("Close took %v", took)
				}
				_ = r.listener("a").Close()
			})
		})
	}
}

// Close also ends connections of endpoints that are none any more.
func TestCloseEndsDrainingConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, targets("names:///leaving"))
		name := directory.find(t, "leaving")
		if err := name.resolveTo("a"); err != nil {
			t.Fatal(err)
		}
		up, c := r.warm()
		if err := name.resolveTo("b"); err != nil {
			t.Fatal(err)
		}
		up.WantNothing(time.Minute)
		c.want(t, "placed")
		r.backend.Close()
		c.want(t, "ended")
		up.WantClosed()
	})
}

// Refusals carry the sentinel, for those who tell reasons apart.
func TestRefusalsCanBeTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, pending(0))
		c := r.call("c")
		if !errors.Is(c.refused[0], backend.ErrPendingFull) {
			t.Fatalf("refused with %v", c.refused[0])
		}
		r.backend.Close()
		d := r.call("d")
		if !errors.Is(d.refused[0], backend.ErrStopped) {
			t.Fatalf("refused with %v", d.refused[0])
		}
	})
}
