package filter

import (
	"cmp"
	"slices"
	"strings"
	"time"

	loomv1 "loom/api/loom/v1"
)

// Filter says which calls are wanted. It never changes and may be used
// concurrently.
type Filter struct {
	// Immutable.
	root  part
	needs Needs
}

// Needs says what Extra must give for a filter to judge a call.
type Needs struct{ Metadata, Body bool }

// Extra is what a filter may ask of a call beyond its summary.
type Extra struct {
	Pinned   bool
	Metadata func(name string) []string // name is in lower case; nil: unknown
	Body     func() string              // decoded text of all messages; nil: unknown
	Zone     *time.Location             // of the times in a filter; nil: time.Local
}

// SyntaxError says where a text is no filter.
type SyntaxError struct {
	Offset        int // in bytes
	Message, Hint string
}

// Error returns the message, with the hint in parentheses if there is one.
func (e *SyntaxError) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + " (" + e.Hint + ")"
}

// Needs returns what Match has to be given.
func (f *Filter) Needs() Needs { return f.needs }

// Match reports whether the call is wanted. It does not allocate, other than
// for texts of more than 256 bytes and in the functions of x.
func (f *Filter) Match(s *loomv1.CallSummary, x Extra) bool { return f.root.match(s, x) }

// String returns the filter in its canonical spelling.
func (f *Filter) String() string { return f.root.text }

// node judges calls.
type node interface {
	match(s *loomv1.CallSummary, x Extra) bool
}

// part is a node with its canonical text.
type part struct {
	node
	text   string
	either bool // text is a choice: it needs parentheses where terms stand together
	simple bool // text is one term
	cost   cost
}

// cost says what judging by a part takes.
type cost int

const (
	summaryOnly cost = iota
	fetchesMetadata
	decodesBodies
)

// cheapFirst returns the parts in the order in which they are judged, and what
// the dearest takes: often the cheap ones settle it.
func cheapFirst(parts []part) ([]part, cost) {
	sorted := slices.Clone(parts)
	slices.SortStableFunc(sorted, func(a, b part) int { return cmp.Compare(a.cost, b.cost) })
	return sorted, sorted[len(sorted)-1].cost
}

// all wants every part, either wants one of them, not the opposite.
type (
	all    []part
	either []part
	not    struct{ part }
)

func (a all) match(s *loomv1.CallSummary, x Extra) bool {
	for _, n := range a {
		if !n.match(s, x) {
			return false
		}
	}
	return true
}

func (a either) match(s *loomv1.CallSummary, x Extra) bool {
	for _, n := range a {
		if n.match(s, x) {
			return true
		}
	}
	return false
}

func (n not) match(s *loomv1.CallSummary, x Extra) bool { return !n.part.match(s, x) }

func allOf(parts []part) part {
	if len(parts) == 1 {
		return parts[0]
	}
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.text
		if p.either {
			texts[i] = "(" + p.text + ")"
		}
	}
	sorted, dearest := cheapFirst(parts)
	return part{node: all(sorted), text: strings.Join(texts, " "), cost: dearest}
}

func eitherOf(parts []part) part {
	if len(parts) == 1 {
		return parts[0]
	}
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.text
	}
	sorted, dearest := cheapFirst(parts)
	return part{node: either(sorted), text: strings.Join(texts, " OR "), either: true, cost: dearest}
}

func notOf(p part) part {
	text := "-(" + p.text + ")"
	if p.simple {
		text = "-" + p.text
	}
	return part{node: not{p}, text: text, cost: p.cost}
}
