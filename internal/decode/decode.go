// Package decode makes JSON of captured bytes, and bytes of JSON. It knows
// messages by their descriptors, whatever told them; without any it shows the
// wire format itself as a tree. It also takes secret fields out of messages
// before these are stored.
//
// Invariant: no input makes it panic, loop, or use more memory than Limits
// allow. What cannot be decoded is said in one sentence, with its place, and
// the rest is shown.
//
// Pitfall: a captured message may be cut anywhere. What is whole of it is
// shown as if it were all, so look at Result.Truncated before trusting that a
// field is absent.
package decode

import (
	"sync/atomic"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Resolver finds the types that a message only names: those in an Any, and
// extensions.
type Resolver interface {
	protoregistry.MessageTypeResolver
	protoregistry.ExtensionTypeResolver
}

// Method is what is known of one method.
type Method struct {
	Desc   protoreflect.MethodDescriptor
	Types  Resolver // nil: only what Desc's files hold
	Source Source
}

// Source says where descriptors came from. Its text is the badge beside a
// decoded message.
type Source uint8

// The sources, best first.
const (
	FromReflection Source = iota
	FromFiles
	FromDisk
	Bundled
	Schemaless
)

// String is the badge.
func (s Source) String() string {
	names := [...]string{"reflection", "files", "disk", "bundled", "schemaless"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// Limits hold what decoding one message may cost. A zero field means its
// default.
type Limits struct {
	Decoded int // bytes after decompression; more is a bomb, or too much to look at
	Output  int // bytes of JSON, about
	Depth   int // messages within messages
	Fields  int // fields and elements, each of which costs some 500 bytes of memory
	Unknown int // entries of Result.Unknown
}

// DefaultLimits are for a person who looks at one message: what is beyond
// them nobody reads, and it would cost hundreds of megabytes.
func DefaultLimits() Limits {
	return Limits{Decoded: 64 << 20, Output: 32 << 20, Depth: 200, Fields: 200_000, Unknown: 256}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	for _, p := range []struct {
		to   *int
		from int
	}{{&l.Decoded, d.Decoded}, {&l.Output, d.Output}, {&l.Depth, d.Depth}, {&l.Fields, d.Fields}, {&l.Unknown, d.Unknown}} {
		if *p.to <= 0 {
			*p.to = p.from
		}
	}
	return l
}

// Decoder turns messages into JSON and back. It may be used by many
// goroutines at once.
type Decoder struct {
	// Immutable.
	limits   Limits
	inflater *inflater

	redactor atomic.Pointer[Redactor]
}

// New makes a decoder. Fields that the redactor knows of are masked in what
// it shows; nil means only those marked debug_redact.
func New(l Limits, r *Redactor) *Decoder {
	if r == nil {
		r = NewRedactor(nil)
	}
	d := &Decoder{limits: l.orDefault(), inflater: &inflater{}}
	d.redactor.Store(r)
	return d
}

// Redact has the fields masked that another redactor knows of.
func (d *Decoder) Redact(r *Redactor) { d.redactor.Store(r) }
