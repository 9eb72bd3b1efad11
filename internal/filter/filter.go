package filter

import (
	loomv1 "loom/api/loom/v1"
)

// Filter says which calls are wanted. It never changes and may be used
// concurrently.
type Filter struct {
	// Immutable.
	source string
	root   node
	needs  Needs
}

// Needs says what Extra must give for a filter to judge a call.
type Needs struct{ Metadata, Body bool }

// Extra is what a filter may ask of a call beyond its summary.
type Extra struct {
	Pinned   bool
	Metadata func(name string) []string // name is in lower case; nil: unknown
	Body     func() string              // decoded text of all messages; nil: unknown
}

// SyntaxError says where a text is no filter.
type SyntaxError struct {
	Offset        int // in bytes
	Message, Hint string
}

func (e *SyntaxError) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + " (" + e.Hint + ")"
}

// Needs returns what Match has to be given.
func (f *Filter) Needs() Needs { return f.needs }

// Match reports whether the call is wanted.
func (f *Filter) Match(s *loomv1.CallSummary, x Extra) bool { return f.root.match(s, x) }

// String returns the text that the filter was parsed from.
func (f *Filter) String() string { return f.source }

// node is a part of a filter.
type node interface {
	match(s *loomv1.CallSummary, x Extra) bool
}

// all wants every part, any wants one of them.
type (
	all    []node
	either []node
	not    struct{ node }
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

func (n not) match(s *loomv1.CallSummary, x Extra) bool { return !n.node.match(s, x) }
