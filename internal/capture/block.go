package capture

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/net/http2/hpack"
)

// block is what a header block says, ready to be stored. All calls that sent
// the same block share it.
type block struct {
	// Immutable.
	fields    []hpack.HeaderField // without the values that must not be stored
	size      int64               // bytes that they take
	authority string
	encoding  string // grpc-encoding
	trace     string // of traceparent
	replayOf  string // of ReplayHeader
	details   string // grpc-status-details-bin

	ruled atomic.Pointer[ruled] // what holds for calls of a request
}

// ruled remembers what Options.Rules said, which costs more than all the rest
// of a call's beginning.
type ruled struct {
	settings *Settings // that were in force
	backend  string
	path     string // blocks without :path are shared by methods
	until    time.Time
	rules    *[2]Rule // nil: nothing to do
}

// ruleTime is how long it holds: descriptors change with a backend's release.
const ruleTime = time.Second

// ReplayHeader is the request metadata that names the call which is repeated.
const ReplayHeader = "loom-replay-of"

// fieldOverhead is what a field costs besides its text.
const fieldOverhead = int64(unsafe.Sizeof(hpack.HeaderField{}))

// redactedValue stands in a stored field for what was taken out. It is not
// UTF-8, so no value that came in text looks the same by accident.
const redactedValue = "\xff[redacted]"

// blocks reads header blocks. Most blocks are the very slice that came before
// on their connection, which is read only once.
type blocks struct {
	// Immutable.
	none *block // of no fields

	redact atomic.Pointer[[]string] // in lower case
	seen   [64]atomic.Pointer[seenBlock]
}

// seenBlock remembers one block. Its fields are kept, so no other block can
// lie where they do.
type seenBlock struct {
	// Immutable.
	first  *hpack.HeaderField
	count  int
	redact *[]string // that was in force
	block  *block
}

// read returns what fields say. It keeps fields.
func (bs *blocks) read(fields []hpack.HeaderField) *block {
	if len(fields) == 0 {
		return bs.none
	}
	first := &fields[0]
	slot := &bs.seen[(uintptr(unsafe.Pointer(first))>>6)%uintptr(len(bs.seen))] //nolint:gosec // the address only picks a slot; first is compared below
	s, redact := slot.Load(), bs.redact.Load()
	if s == nil || s.first != first || s.count != len(fields) || s.redact != redact {
		s = &seenBlock{first, len(fields), redact, bs.parse(fields)}
		slot.Store(s)
	}
	return s.block
}

func (bs *blocks) parse(fields []hpack.HeaderField) *block {
	b := &block{fields: fields}
	for i := range fields {
		f := &fields[i]
		b.size += int64(len(f.Name)+len(f.Value)) + fieldOverhead
		if f.Value == redactedValue {
			continue // it was taken out in another process
		}
		if bs.hides(f.Name) {
			if &b.fields[0] == &fields[0] {
				b.fields = slices.Clone(fields)
			}
			b.fields[i].Value = redactedValue
			continue // what is made of it must not be stored either
		}
		switch f.Name {
		case ":authority":
			b.authority = f.Value
		case "grpc-encoding":
			b.encoding = f.Value
		case "traceparent":
			b.trace = traceID(f.Value)
		case ReplayHeader:
			b.replayOf = f.Value
		case "grpc-status-details-bin":
			b.details = f.Value
		}
	}
	return b
}

// hides reports whether the values of a field must not be stored.
func (bs *blocks) hides(name string) bool { return slices.Contains(*bs.redact.Load(), name) }

// traceID is the second part of a traceparent (W3C Trace Context, section
// 3.2), or nothing.
func traceID(v string) string {
	parts := strings.Split(v, "-")
	if len(parts) < 4 || len(parts[1]) != 32 || strings.Trim(parts[1], "0123456789abcdef") != "" {
		return ""
	}
	return parts[1]
}
