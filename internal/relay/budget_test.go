package relay

import (
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	g := newBudget(20)
	now := g.epoch
	taken := func() (n int) {
		for g.take(now) {
			n++
		}
		return n
	}
	if n := taken(); n != budgetLeast {
		t.Errorf("%d retries without a call, want %d", n, budgetLeast)
	}
	now = now.Add(9 * time.Second)
	if n := taken(); n != 0 {
		t.Errorf("%d more within the window", n)
	}
	now = now.Add(time.Second)
	if n := taken(); n != budgetLeast {
		t.Errorf("%d retries a window later, want %d", n, budgetLeast)
	}
	for range 10 {
		now = now.Add(time.Second)
		for range 100 {
			g.call(now)
		}
	}
	if n := taken(); n != 200 {
		t.Errorf("%d retries on 1000 calls, want 200", n)
	}
	now = now.Add(5 * time.Second)
	if n := taken(); n != 0 {
		t.Errorf("%d retries more while half of the calls is forgotten", n)
	}
	now = now.Add(1000 * time.Hour)
	if n := taken(); n != budgetLeast || g.sum.calls != 0 {
		t.Errorf("%d retries and %d calls after a long silence", n, g.sum.calls)
	}
	now = now.Add(-time.Second) // a batch that began earlier comes later
	g.call(now)
	if n := taken(); n != 0 || g.sum.calls != 1 {
		t.Errorf("%d retries and %d calls by a batch of before", n, g.sum.calls)
	}
}
