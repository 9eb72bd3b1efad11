package h2

import "testing"

// A budget of another limit holds to it from then on, whatever is in use.
func TestBudgetLimitChanges(t *testing.T) {
	g := NewBudget(100, new(Counters))
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
