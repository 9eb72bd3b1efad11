package report

import (
	"fmt"
	"math"
)

const none = "-"

// number prints about three digits that matter.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return none
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1 || a == 0:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func whole(v float64) string {
	if math.IsNaN(v) {
		return none
	}
	return fmt.Sprintf("%.0f", v)
}

func milliseconds(seconds float64) string { return number(seconds * 1e3) }

func kib(bytes float64) string { return number(bytes / (1 << 10)) }

func mib(bytes float64) string { return number(bytes / (1 << 20)) }
