package relay

import (
	"strconv"
	"time"
)

// deadlineGrace is how much later than the caller loom gives up, so that the
// backend's own DEADLINE_EXCEEDED, which knows more, comes first.
const deadlineGrace = 50 * time.Millisecond

// parseTimeout reads the value of grpc-timeout: up to eight digits and a
// unit (gRPC over HTTP/2, "Requests"). Times beyond what a Duration holds
// are cut to the longest one.
func parseTimeout(s string) (time.Duration, bool) {
	if len(s) < 2 || len(s) > 9 {
		return 0, false
	}
	unit, ok := timeoutUnit(s[len(s)-1])
	if !ok {
		return 0, false
	}
	var n int64
	for i := range len(s) - 1 {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	const longest = time.Duration(1<<63 - 1)
	if n > int64(longest/unit) {
		return longest, true
	}
	return time.Duration(n) * unit, true
}

// formatTimeout writes a grpc-timeout that is no longer than d, and more than
// nothing: in the finest unit that has room for it.
func formatTimeout(d time.Duration) string {
	const digits = 100_000_000
	d = max(d, 1)
	for _, unit := range []byte("numS") {
		size, _ := timeoutUnit(unit)
		if n := d / size; n < digits {
			return strconv.FormatInt(int64(n), 10) + string(unit)
		}
	}
	return strconv.FormatInt(int64(d/time.Hour), 10) + "H"
}

func timeoutUnit(c byte) (time.Duration, bool) {
	switch c {
	case 'H':
		return time.Hour, true
	case 'M':
		return time.Minute, true
	case 'S':
		return time.Second, true
	case 'm':
		return time.Millisecond, true
	case 'u':
		return time.Microsecond, true
	case 'n':
		return time.Nanosecond, true
	default:
		return 0, false
	}
}
