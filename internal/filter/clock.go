package filter

import (
	"strings"
	"time"

	loomv1 "loom/api/loom/v1"
)

// Shapes of what a time is compared with; a person may write less than all of
// one. The layout is that of package time.
const (
	clockShape = "00:00:00.000000"
	dateShape  = "0000-00-00t" + clockShape
	layout     = "2006-01-02t15:04:05.000000"
	dayLength  = len("0000-00-00")

	timeHint = "such as 14:02, >=14:02:11.5 or 2026-01-31..2026-02-02"
)

// moments wants the time at which a call began to stand in a relation to one
// or two others, compared no further than they say.
type moments struct{ operator, a, b string }

// timeTerm wants the start of a call to pass one of the comparisons.
type timeTerm []moments

func (t timeTerm) match(s *loomv1.CallSummary, x Extra) bool {
	zone := x.Zone
	if zone == nil {
		zone = time.Local //nolint:gosmopolitan // a person compares with the clock on the wall
	}
	var room [len(layout) + 8]byte
	local := time.UnixMicro(s.GetAt()).In(zone).AppendFormat(room[:0], layout)
	for _, m := range t {
		if m.test(local) {
			return true
		}
	}
	return false
}

func (m moments) test(local []byte) bool {
	if m.operator == ".." {
		return string(seen(local, m.a)) >= m.a && string(seen(local, m.b)) <= m.b
	}
	at := seen(local, m.a)
	switch m.operator {
	case ">":
		return string(at) > m.a
	case "<":
		return string(at) < m.a
	case ">=":
		return string(at) >= m.a
	case "<=":
		return string(at) <= m.a
	}
	return string(at) == m.a
}

// seen cuts a local time as moment is cut.
func seen(local []byte, moment string) []byte {
	if isClock(moment) {
		local = local[dayLength+1:]
	}
	return local[:len(moment)]
}

// newMoments reads a folded comparison, and returns its canonical spelling, or
// what is wrong with it.
func newMoments(text string) (m moments, canonical, wrong string) {
	m.operator, m.a, m.b = operands(text)
	if !isMoment(m.a) || m.operator == ".." && !isMoment(m.b) {
		return m, "", "this is not a time"
	}
	canonical = spelled(m.operator) + strings.Replace(m.a, "t", "T", 1)
	if m.operator != ".." {
		return m, canonical, ""
	}
	if isClock(m.a) != isClock(m.b) {
		return m, "", "one end of the range is a date, the other is not"
	}
	if common := min(len(m.a), len(m.b)); m.b[:common] < m.a[:common] {
		return m, "", "the range ends before it begins"
	}
	return m, strings.Replace(m.a, "t", "T", 1) + ".." + strings.Replace(m.b, "t", "T", 1), ""
}

func isClock(moment string) bool { return len(moment) > 2 && moment[2] == ':' }

// isMoment reports whether text is a time of day or a date, cut where a person
// may stop.
func isMoment(text string) bool {
	shape, day, clock := clockShape, "", text
	if !isClock(text) {
		if len(text) < dayLength {
			return false
		}
		shape, day, clock = dateShape, text[:dayLength], text[min(dayLength+1, len(text)):]
	}
	switch n := len(clock); {
	case day != "" && len(text) == dayLength:
	case n == len("00:00"), n == len("00:00:00"), n >= len("00:00:00.0") && n <= len(clockShape):
	default:
		return false
	}
	for i := range len(text) {
		if shape[i] == '0' && digits(text[i:i+1]) == 0 || shape[i] != '0' && text[i] != shape[i] {
			return false
		}
	}
	return between(day, 5, "01", "12") && between(day, 8, "01", "31") &&
		between(clock, 0, "00", "23") && between(clock, 3, "00", "59") && between(clock, 6, "00", "59")
}

// between reports whether the two digits at a place are in a range, if they
// are there.
func between(text string, at int, least, most string) bool {
	return at >= len(text) || text[at:at+2] >= least && text[at:at+2] <= most
}
