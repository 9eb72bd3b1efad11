package stats

import (
	"math"
	"slices"
	"testing"
)

func TestQuantile(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{[]float64{7}, 0.99, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{10, 20}, 0, 10},
		{[]float64{10, 20}, 1, 20},
		{[]float64{10, 20}, 0.25, 12.5},
	} {
		if got := Quantile(tc.values, tc.q); got != tc.want {
			t.Errorf("Quantile(%v, %v) = %v, want %v", tc.values, tc.q, got, tc.want)
		}
	}
	if got := Median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v, want NaN", got)
	}
}

func TestQuantileLeavesItsValuesAlone(t *testing.T) {
	values := []float64{3, 1, 2}
	Median(values)
	if want := []float64{3, 1, 2}; !slices.Equal(values, want) {
		t.Errorf("values are %v now, were %v", values, want)
	}
}

func TestIQR(t *testing.T) {
	if got := IQR([]float64{1, 2, 3, 4, 100}); got != 2 {
		t.Errorf("got %v, want 2", got)
	}
	if got := IQR([]float64{1}); !math.IsNaN(got) {
		t.Errorf("of one value: got %v, want NaN", got)
	}
}
