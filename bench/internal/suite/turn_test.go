package suite

import (
	"math"
	"slices"
	"testing"
)

func TestPeersTakeTurnsBothWays(t *testing.T) {
	if got := turn(3, 0); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("first run: %v", got)
	}
	if got := turn(3, 1); !slices.Equal(got, []int{2, 1, 0}) {
		t.Errorf("second run: %v", got)
	}
}

func TestDifferencesAndQuotientsAreWithinRuns(t *testing.T) {
	// The machine is three times slower in the second run.
	cell, direct := []float64{2, 6, 2}, []float64{1, 3, 1}
	if got := Ratio(cell, direct); got != 2 {
		t.Errorf("ratio is %v, want 2", got)
	}
	if got := Added(cell, direct); got != 1 {
		t.Errorf("added is %v, want 1", got)
	}
	if got := Ratio(nil, direct); !math.IsNaN(got) {
		t.Errorf("ratio of nothing is %v, want NaN", got)
	}
}
