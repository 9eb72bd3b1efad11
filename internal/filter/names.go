package filter

import (
	"slices"
	"strconv"
	"strings"

	loomv1 "loom/api/loom/v1"
)

// check judges a call by one of its states.
type check func(s *loomv1.CallSummary, x Extra) bool

// names are the values of a key to which loom gives the names.
type names struct {
	what    string
	choices []choice
	aliases map[string]string // squeezed canonical names by other squeezed ones
	other   func(word string) (choice, bool)
}

// choice is one of them.
type choice struct {
	name  string // canonical
	check check
}

// nameTerm wants a call to pass one of the checks.
type nameTerm []check

func (t nameTerm) match(s *loomv1.CallSummary, x Extra) bool {
	for _, c := range t {
		if c(s, x) {
			return true
		}
	}
	return false
}

// named are the keys with such values.
var named = map[string]names{
	"status": {what: "status", choices: statusChoices(), aliases: map[string]string{"canceled": "cancelled"}, other: statusNumber},
	"kind": {what: "kind", choices: kindChoices, aliases: map[string]string{
		"u": "unary", "cs": "client", "ss": "server", "bd": "bidi", "clientstream": "client", "serverstream": "server", "bidistream": "bidi",
	}},
	"by": {what: "ender", choices: enderChoices},
	"is": {what: "state", choices: stateChoices, aliases: map[string]string{"canceled": "cancelled"}},
}

// find returns what a folded word names.
func (n names) find(word string) (choice, bool) {
	squeezed := squeeze(word)
	if name, ok := n.aliases[squeezed]; ok {
		squeezed = name
	}
	at := slices.IndexFunc(n.choices, func(c choice) bool { return squeeze(fold(c.name)) == squeezed })
	if at >= 0 {
		return n.choices[at], true
	}
	if n.other == nil {
		return choice{}, false
	}
	return n.other(word)
}

// hint says what would mend a folded word that names nothing.
func (n names) hint(word string) string {
	known := make([]string, len(n.choices))
	for i, c := range n.choices {
		known[i] = c.name
	}
	if hint := nearest(word, known); hint != "" {
		return hint
	}
	return "known: " + strings.Join(known, " ")
}

// codes are in the order of google.rpc.Code.
var codes = []string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
	"UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

func statusChoices() []choice {
	choices := make([]choice, 0, len(codes)+2)
	for code, name := range codes {
		choices = append(choices, choice{name, hasCode(uint32(code))})
	}
	return append(choices,
		choice{"none", func(s *loomv1.CallSummary, _ Extra) bool { return ended(s) && s.Code == nil }},
		choice{"open", isOpen},
	)
}

func statusNumber(word string) (choice, bool) {
	if n := digits(word); n == 0 || n != len(word) || n > 9 {
		return choice{}, false
	}
	code, err := strconv.ParseUint(word, 10, 32)
	if err != nil {
		return choice{}, false
	}
	name := strconv.FormatUint(code, 10)
	if code < uint64(len(codes)) {
		name = codes[code]
	}
	return choice{name, hasCode(uint32(code))}, true
}

func hasCode(code uint32) check {
	return func(s *loomv1.CallSummary, _ Extra) bool { return s.Code != nil && s.GetCode() == code }
}

var kindChoices = []choice{
	{"unary", hasKind(loomv1.StreamKind_STREAM_KIND_UNARY)},
	{"client", hasKind(loomv1.StreamKind_STREAM_KIND_CLIENT_STREAM)},
	{"server", hasKind(loomv1.StreamKind_STREAM_KIND_SERVER_STREAM)},
	{"bidi", hasKind(loomv1.StreamKind_STREAM_KIND_BIDI_STREAM)},
}

func hasKind(kind loomv1.StreamKind) check {
	return func(s *loomv1.CallSummary, _ Extra) bool { return s.GetKind() == kind }
}

var enderChoices = []choice{
	{"backend", endedBy(loomv1.Ender_ENDER_BACKEND)},
	{"backend_reset", endedBy(loomv1.Ender_ENDER_BACKEND_RESET)},
	{"backend_lost", endedBy(loomv1.Ender_ENDER_BACKEND_LOST)},
	{"client", endedBy(loomv1.Ender_ENDER_CLIENT_CANCEL, loomv1.Ender_ENDER_CLIENT_LOST, loomv1.Ender_ENDER_CLIENT_DEADLINE)},
	{"client_cancel", endedBy(loomv1.Ender_ENDER_CLIENT_CANCEL)},
	{"client_lost", endedBy(loomv1.Ender_ENDER_CLIENT_LOST)},
	{"client_deadline", endedBy(loomv1.Ender_ENDER_CLIENT_DEADLINE)},
	{"loom", endedBy(loomv1.Ender_ENDER_LOOM)},
	{"breaker", endedBy(loomv1.Ender_ENDER_BREAKER)},
}

func endedBy(enders ...loomv1.Ender) check {
	return func(s *loomv1.CallSummary, _ Extra) bool { return slices.Contains(enders, s.GetBy()) }
}

var stateChoices = []choice{
	{"error", func(s *loomv1.CallSummary, _ Extra) bool { return s.GetCode() != 0 || ended(s) && s.Code == nil }},
	{"ok", func(s *loomv1.CallSummary, _ Extra) bool { return ended(s) && s.Code != nil && s.GetCode() == 0 }},
	{"running", isOpen},
	{"open", isOpen},
	{"ended", func(s *loomv1.CallSummary, _ Extra) bool { return ended(s) }},
	{"stream", func(s *loomv1.CallSummary, _ Extra) bool { return s.GetKind() > loomv1.StreamKind_STREAM_KIND_UNARY }},
	{"replayed", func(s *loomv1.CallSummary, _ Extra) bool { return s.GetReplayOf() != "" }},
	{"truncated", func(s *loomv1.CallSummary, _ Extra) bool { return s.GetCut() }},
	{"pinned", func(_ *loomv1.CallSummary, x Extra) bool { return x.Pinned }},
	{"cancelled", func(s *loomv1.CallSummary, _ Extra) bool {
		return s.GetCode() == 1 || s.GetBy() == loomv1.Ender_ENDER_CLIENT_CANCEL
	}},
	{"drift", func(s *loomv1.CallSummary, _ Extra) bool { return s.GetDrift() }},
}

func ended(s *loomv1.CallSummary) bool { return s.GetState() == loomv1.CallState_CALL_STATE_ENDED }

func isOpen(s *loomv1.CallSummary, _ Extra) bool {
	return s.GetState() == loomv1.CallState_CALL_STATE_OPEN
}
