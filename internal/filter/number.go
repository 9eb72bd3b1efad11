package filter

import (
	"strconv"
	"strings"

	loomv1 "loom/api/loom/v1"
)

// comparison wants a number to stand in a relation to one or two others.
type comparison struct {
	operator string // ".." has two operands
	a, b     float64
}

func (c comparison) test(v float64) bool {
	switch c.operator {
	case ">":
		return v > c.a
	case "<":
		return v < c.a
	case ">=":
		return v >= c.a
	case "<=":
		return v <= c.a
	case "..":
		return v >= c.a && v <= c.b
	}
	return v == c.a
}

// measure is a kind of number.
type measure struct {
	what  string
	units map[string]unit // by the folded spellings
	hint  string
}

type unit struct {
	name   string // canonical
	factor float64
}

var (
	duration = measure{
		what: "a duration with a unit",
		units: map[string]unit{
			"us": {"us", 1}, "µs": {"us", 1}, "μs": {"us", 1}, "ms": {"ms", 1e3}, "s": {"s", 1e6}, "m": {"m", 6e7}, "h": {"h", 3.6e9},
		},
		hint: "such as >50ms, <=1.5s or 10ms..2s",
	}
	size = measure{
		what: "a size",
		units: map[string]unit{
			"": {"", 1}, "b": {"", 1}, "k": {"kB", 1e3}, "kb": {"kB", 1e3}, "m": {"MB", 1e6}, "mb": {"MB", 1e6}, "g": {"GB", 1e9}, "gb": {"GB", 1e9},
			"kib": {"KiB", 1 << 10}, "mib": {"MiB", 1 << 20}, "gib": {"GiB", 1 << 30},
		},
		hint: "such as >64KiB, <10k or 1kB..1MB",
	}
	count = measure{
		what:  "a number",
		units: map[string]unit{"": {"", 1}, "k": {"k", 1e3}, "m": {"M", 1e6}},
		hint:  "such as >100, 10k or 2..5",
	}
)

// numbers are the keys whose values are compared as numbers.
var numbers = map[string]struct {
	measure measure
	of      func(s *loomv1.CallSummary) float64
}{
	"latency": {duration, func(s *loomv1.CallSummary) float64 { return float64(s.GetTook()) }},
	"size":    {size, func(s *loomv1.CallSummary) float64 { return float64(s.GetUpBytes()) + float64(s.GetDownBytes()) }},
	"msgs":    {count, func(s *loomv1.CallSummary) float64 { return float64(s.GetUp()) + float64(s.GetDown()) }},
}

// numberTerm wants a number of a call to pass one of the comparisons.
type numberTerm struct {
	of    func(s *loomv1.CallSummary) float64
	tests []comparison
}

func (t numberTerm) match(s *loomv1.CallSummary, _ Extra) bool {
	v := t.of(s)
	for _, c := range t.tests {
		if c.test(v) {
			return true
		}
	}
	return false
}

// operands takes a folded comparison apart. Second belongs to "..".
func operands(text string) (operator, first, second string) {
	for _, operator := range []string{">=", "<=", ">", "<", "="} {
		if rest, ok := strings.CutPrefix(text, operator); ok {
			return operator, rest, ""
		}
	}
	if first, second, ok := strings.Cut(text, ".."); ok {
		return "..", first, second
	}
	return "=", text, ""
}

// comparison reads a folded text, and returns its canonical spelling, or
// what is wrong with it.
func (m measure) comparison(text string) (c comparison, canonical, wrong string) {
	operator, first, second := operands(text)
	c.operator = operator
	var ok bool
	if c.a, canonical, ok = m.quantity(first); !ok {
		return c, "", "this is not " + m.what
	}
	if operator != ".." {
		return c, spelled(operator) + canonical, ""
	}
	b, end, ok := m.quantity(second)
	if !ok {
		return c, "", "this is not " + m.what
	}
	if b < c.a {
		return c, "", "the range ends before it begins"
	}
	c.b = b
	return c, canonical + ".." + end, ""
}

// spelled leaves out the operator that may be left out.
func spelled(operator string) string {
	if operator == "=" {
		return ""
	}
	return operator
}

// quantity reads a number with its unit.
func (m measure) quantity(text string) (v float64, canonical string, ok bool) {
	whole, fraction := digits(text), 0
	end := whole
	if end < len(text) && text[end] == '.' {
		if fraction = digits(text[end+1:]); fraction > 0 {
			end += 1 + fraction
		}
	}
	if whole == 0 || whole > 15 || fraction > 6 {
		return 0, "", false
	}
	v, err := strconv.ParseFloat(text[:end], 64)
	if err != nil {
		return 0, "", false
	}
	if end == len(text) && v == 0 {
		return 0, "0", true
	}
	u, ok := m.units[text[end:]]
	return v * u.factor, text[:end] + u.name, ok
}

// digits counts the digits at the beginning of text.
func digits(text string) int {
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return n
}
