package relay

import (
	"sync"
	"time"
)

const (
	// budgetSlots seconds are what a budget looks back on: long enough for
	// thin traffic to save up a retry, short enough that an hour without
	// failures buys no storm.
	budgetSlots = 10
	// budgetLeast is how many retries there may be in that time, however few
	// calls there are: one a second.
	budgetLeast = 10
)

// budget bounds the retries of a route, in percent of the calls that it had in
// the last seconds.
type budget struct {
	// Immutable.
	percent uint64
	*spending
}

// spending is what went by in the last seconds. The budgets of a route share
// it, when one takes the place of the other.
type spending struct {
	mu sync.Mutex
	// Guarded by mu.
	epoch  time.Time               // seconds are counted from it, so that no clock is set back
	slots  [budgetSlots]budgetSlot // by second, round and round
	second int64                   // that of the newest slot
	sum    budgetSlot
}

type budgetSlot struct{ calls, retries uint64 }

func newBudget(percent int) *budget {
	return &budget{uint64(percent), &spending{epoch: time.Now()}}
}

// call counts a call.
func (g *budget) call(now time.Time) {
	g.mu.Lock()
	g.turnLocked(now).calls++
	g.sum.calls++
	g.mu.Unlock()
}

// take takes a retry, if there is room for one.
func (g *budget) take(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	slot := g.turnLocked(now)
	if g.sum.retries >= max(budgetLeast, g.sum.calls*g.percent/100) {
		return false
	}
	slot.retries++
	g.sum.retries++
	return true
}

// turnLocked empties the slots of seconds that are too long ago and returns
// that of now.
func (g *spending) turnLocked(now time.Time) *budgetSlot {
	second := int64(now.Sub(g.epoch) / time.Second)
	if second-g.second > budgetSlots {
		g.second = second - budgetSlots // all of them are too old
	}
	for g.second < second {
		g.second++
		slot := &g.slots[g.second%budgetSlots]
		g.sum.calls -= slot.calls
		g.sum.retries -= slot.retries
		*slot = budgetSlot{}
	}
	return &g.slots[g.second%budgetSlots]
}
