package h2_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"loom/internal/h2"
)

func TestBudgetReserve(t *testing.T) {
	var counters h2.Counters
	g := h2.NewBudget(1000, &counters)
	for _, step := range []struct {
		reserve, release int
		ok               bool
		used             int64
	}{
		{600, 0, true, 600},
		{401, 0, false, 600},
		{400, 0, true, 1000},
		{1, 0, false, 1000},
		{0, 500, true, 500},
		{500, 0, true, 1000},
		{0, 1000, true, 0},
	} {
		if step.reserve > 0 {
			if ok := g.Reserve(step.reserve); ok != step.ok {
				t.Errorf("Reserve(%d) is %v, want %v", step.reserve, ok, step.ok)
			}
		}
		g.Release(step.release)
		if used := g.Used(); used != step.used {
			t.Errorf("%d bytes are used, want %d", used, step.used)
		}
	}
}

// Whoever reserves at the same time, never is more promised than there is.
func TestBudgetReserveAtOnce(t *testing.T) {
	var counters h2.Counters
	g := h2.NewBudget(100, &counters)
	var all sync.WaitGroup
	var mu sync.Mutex
	held := 0
	for range 8 {
		all.Go(func() {
			for range 2000 {
				if !g.Reserve(30) {
					continue
				}
				mu.Lock()
				if held += 30; held > 100 {
					t.Errorf("%d bytes are promised", held)
				}
				held -= 30
				mu.Unlock()
				g.Release(30)
			}
		})
	}
	all.Wait()
	if used := g.Used(); used != 0 {
		t.Errorf("%d bytes are used", used)
	}
}

// At the cap of the process, what has been stuck longest goes first, on
// whatever connection it is, and no more than has to.
func TestBudgetRelief(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRelayed(t, func(o *h2.Options) { o.Budget = h2.NewBudget(200_000, o.Counters) })
		_, other := r.downstream(relayTo(r.upConn), manual)
		var ids, ups []uint32
		for i := range 4 { // 40,000 bytes each, a minute apart
			var id uint32
			switch caller := r.down; i {
			case 0, 2:
				id = caller.Open("/s/m")
				caller.RawData(id, make([]byte, 40000), false)
			default:
				id = other.Open("/s/m")
				other.RawData(id, make([]byte, 40000), false)
			}
			up, _ := r.up.WantCall()
			ids, ups = append(ids, id), append(ups, up)
			time.Sleep(time.Minute)
		}
		// The first one goes on, so that it is not stuck longest any more.
		r.up.WindowUpdate(ups[0], 10)
		r.up.WantBytes(ups[0], 10)
		r.down.WantNothing(time.Minute)

		last := r.down.Open("/s/m")
		r.up.WantCall()
		r.down.RawData(last, make([]byte, 40000), false)
		r.down.RawData(ids[2], make([]byte, 20000), false)
		other.WantReset(ids[1], http2.ErrCodeCancel)
		r.up.WantReset(ups[1], http2.ErrCodeCancel)
		synctest.Wait()
		if got := r.counters.BudgetResets.Load(); got != 1 {
			t.Errorf("BudgetResets = %d, want 1", got)
		}
		if used := r.budget.Used(); used > 200_000 {
			t.Errorf("%d bytes are in use", used)
		}
		r.down.WantNothing(time.Minute)
		other.WantNothing(time.Minute)
	})
}

// A connection through which all has gone counts for nothing, also while it
// is open.
func TestBudgetOfAnIdleConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRelayed(t)
		for _, size := range []int{1, 16383, 16384, 30000, 65535} {
			id, up := r.open()
			r.down.RawData(id, make([]byte, size), true)
			synctest.Wait()
			for left := size; left > 0; left -= 7000 {
				n := min(left, 7000)
				r.up.WindowUpdate(up, uint32(n))
				r.up.WantBytes(up, n)
			}
			synctest.Wait()
			if used := r.budget.Used(); used != 0 {
				t.Errorf("%d bytes are in use after %d have passed", used, size)
			}
		}
	})
}

// A budget of another limit holds to it from then on, whatever is in use.
func TestBudgetLimitChanges(t *testing.T) {
	g := h2.NewBudget(100, new(h2.Counters))
	if !g.Reserve(80) || g.Reserve(80) {
		t.Fatal("80 of 100 bytes are there once")
	}
	g.SetLimit(50)
	if g.Reserve(1) {
		t.Error("there was room beyond the smaller limit")
	}
	g.SetLimit(200)
	if !g.Reserve(80) || g.Used() != 160 {
		t.Errorf("%d bytes are in use, want 160", g.Used())
	}
}
