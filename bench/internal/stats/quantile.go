// Package stats holds the few figures by which the bench sums up its samples.
package stats

import (
	"math"
	"slices"
)

// Quantile is the value below which the share q, from 0 to 1, of the values
// lies, interpolated between neighbours; NaN when there are none. It does not
// change values.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	at := min(max(q, 0), 1) * float64(len(s)-1)
	low := int(at)
	if low+1 == len(s) {
		return s[low]
	}
	part := at - float64(low)
	return s[low]*(1-part) + s[low+1]*part
}

// Median is the value in the middle.
func Median(values []float64) float64 { return Quantile(values, 0.5) }

// IQR is the distance between the first and the third quartile; NaN for fewer
// than two values.
func IQR(values []float64) float64 {
	if len(values) < 2 {
		return math.NaN()
	}
	return Quantile(values, 0.75) - Quantile(values, 0.25)
}
