package h2

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// budgetGrain is how far a connection's own count may be from what it has
// told the budget: small change is not worth a cache line that all share.
const budgetGrain = 16 << 10

// Budget is what all the connections of a process may buffer together. At
// its cap the streams that have been stuck longest are reset, until a
// sixteenth of it is free again. It is safe for concurrent use.
type Budget struct {
	limit    atomic.Int64
	used     atomic.Int64
	counters *Counters
	relief   atomic.Bool // a relief is under way

	mu    sync.Mutex
	conns map[*Conn]struct{} // guarded by mu
}

// NewBudget returns a budget of limit bytes.
func NewBudget(limit int64, counters *Counters) *Budget {
	g := &Budget{counters: counters, conns: make(map[*Conn]struct{})}
	g.limit.Store(limit)
	return g
}

// SetLimit changes the limit. What is buffered beyond a smaller one is cut as
// if it had just come.
func (g *Budget) SetLimit(limit int64) { g.limit.Store(limit) }

// Used returns the bytes that are buffered now, to within 16 KiB a connection.
func (g *Budget) Used() int64 { return g.used.Load() }

// Reserve takes n bytes if they are there, and reports whether it did. What
// was reserved is given back with [Budget.Release].
func (g *Budget) Reserve(n int) bool {
	if g.used.Add(int64(n)) > g.limit.Load() {
		g.used.Add(-int64(n))
		g.counters.BudgetRefusals.Add(1)
		return false
	}
	return true
}

// Release gives back n bytes.
func (g *Budget) Release(n int) { g.used.Add(-int64(n)) }

// roomy reports whether there is so much left that windows may grow.
func (g *Budget) roomy() bool { return g.used.Load() < g.limit.Load()/2 }

func (g *Budget) add(c *Conn) {
	g.mu.Lock()
	g.conns[c] = struct{}{}
	g.mu.Unlock()
}

func (g *Budget) remove(c *Conn) {
	g.mu.Lock()
	delete(g.conns, c)
	g.mu.Unlock()
}

// relieve resets the streams that are stuck longest if the cap is reached.
// No lock is held by the caller.
func (g *Budget) relieve(b *Batch) {
	if g.used.Load() <= g.limit.Load() || !g.relief.CompareAndSwap(false, true) {
		return
	}
	defer g.relief.Store(false)
	g.mu.Lock()
	var stuck []stuckStream
	for c := range g.conns {
		stuck = c.appendStuck(stuck)
	}
	g.mu.Unlock()
	slices.SortFunc(stuck, func(x, y stuckStream) int { return x.since.Compare(y.since) })
	limit := g.limit.Load()
	excess := g.used.Load() - (limit - limit/16)
	for _, s := range stuck {
		if excess <= 0 {
			return
		}
		excess -= int64(s.bytes)
		if s.stream.fail(b, End{Cause: CauseBudget, Code: CodeCancel}) {
			g.counters.BudgetResets.Add(1)
		}
	}
}

type stuckStream struct {
	stream *Stream
	since  time.Time
	bytes  int
}
