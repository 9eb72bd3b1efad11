package decode

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// maxRedacted bounds what a message may be decompressed to before it is
	// stored: this happens while calls pass, and what is larger is withheld.
	maxRedacted = 16 << 20
	// maxRedactedDepth bounds messages within messages that may hold secrets.
	// Deeper ones are taken out whole. protobuf's own parsers stop at 100.
	maxRedactedDepth = 1000
)

// Plan takes the secrets out of messages of one type. It may be used by many
// goroutines at once.
type Plan struct {
	// Immutable.
	root     *node
	redactor *Redactor
	types    resolver
}

// Apply returns data without its secrets: texts and bytes are replaced by
// [redacted], all else is taken out. A message that is cut short is cut where
// it stops being readable. If changed, out is new and not compressed;
// otherwise it is data. With an error nothing of the message may be stored.
func (p *Plan) Apply(encoding string, compressed bool, data []byte) (out []byte, changed bool, err error) {
	plain := data
	whole := true
	if compressed && len(data) > 0 {
		plain, whole, err = p.redactor.inflater.inflate(encoding, data, maxRedacted)
		if err != nil {
			return nil, false, fmt.Errorf("redact: %w", err)
		}
	}
	a := applier{plan: p, out: make([]byte, 0, len(plain)+len(plain)/8+2*len(mask))}
	a.message(p.root, plain)
	if !a.changed && whole {
		return data, false, nil
	}
	return a.out, true, nil
}

// plain is Apply for a message that is not compressed. It also says whether
// the message could not be read to its end.
func (p *Plan) plain(data []byte) (out []byte, cut bool) {
	a := applier{plan: p, out: make([]byte, 0, len(data)+len(data)/8+2*len(mask))}
	a.message(p.root, data)
	if !a.changed {
		return data, false
	}
	return a.out, a.short
}

// applier is one Apply.
type applier struct {
	plan    *Plan
	out     []byte
	depth   int
	changed bool
	short   bool // something could not be read to its end
}

// message writes data without its secrets, as far as it can be read.
func (a *applier) message(n *node, data []byte) {
	if n.isAny {
		a.any(data)
		return
	}
	kept := 0 // data[kept:at] waits to be copied
	for at := 0; at < len(data); {
		number, wire, size := protowire.ConsumeTag(data[at:])
		if size < 0 || wire == protowire.EndGroupType {
			a.out = append(a.out, data[kept:at]...)
			a.cut()
			return
		}
		ru := a.rule(n, number)
		if ru.do == keep {
			length := protowire.ConsumeFieldValue(number, wire, data[at+size:])
			if length < 0 {
				a.out = append(a.out, data[kept:at]...)
				a.cut()
				return
			}
			at += size + length
			continue
		}
		a.out = append(a.out, data[kept:at]...)
		length, ok := a.field(ru, number, wire, data[at+size:])
		if !ok {
			a.cut()
			return
		}
		at += size + length
		kept = at
	}
	a.out = append(a.out, data[kept:]...)
}

// cut notes that the rest is left out.
func (a *applier) cut() { a.changed, a.short = true, true }

func (a *applier) rule(n *node, number protowire.Number) rule {
	ru, ok := n.rules[number]
	if ok || n.extensions == nil || !n.extensions.Has(number) {
		return ru
	}
	x, err := a.plan.types.FindExtensionByNumber(n.name, number)
	if err != nil {
		if a.plan.redactor.HasFields() {
			return rule{do: drop} // it may be one of them
		}
		return rule{}
	}
	b := planner{redactor: a.plan.redactor, nodes: map[protoreflect.FullName]*node{}, parents: map[*node][]*node{}}
	ru = b.rule(x.TypeDescriptor())
	b.spread()
	if ru.do == descend && !ru.into.needed {
		return rule{}
	}
	return ru
}

// field writes one field that has a rule; data begins with its value. ok is
// false if the value does not end within data.
func (a *applier) field(ru rule, number protowire.Number, wire protowire.Type, data []byte) (length int, ok bool) {
	switch {
	case ru.do == maskText && wire == protowire.BytesType:
		a.changed = true
		a.out = protowire.AppendTag(a.out, number, wire)
		a.out = protowire.AppendString(a.out, mask)
	case ru.do == descend && !ru.group && wire == protowire.BytesType && a.depth < maxRedactedDepth:
		return a.submessage(ru.into, number, data)
	case ru.do == descend && ru.group && wire == protowire.StartGroupType && a.depth < maxRedactedDepth:
		return a.group(ru.into, number, data)
	default:
		// Also of a wire type that its type does not have: such bytes would
		// be shown as an unknown field.
		a.changed = true
	}
	length = protowire.ConsumeFieldValue(number, wire, data)
	return length, length >= 0
}

func (a *applier) submessage(n *node, number protowire.Number, data []byte) (length int, ok bool) {
	claimed, width := protowire.ConsumeVarint(data)
	if width < 0 {
		return 0, false
	}
	body := data[width:]
	whole := claimed <= uint64(len(body))
	if whole {
		body = body[:claimed]
	}
	a.out = protowire.AppendTag(a.out, number, protowire.BytesType)
	var start int
	a.out, start = beginLength(a.out, len(body))
	a.depth++
	a.message(n, body) // what of it cannot be read is left out; what follows it can be read
	a.depth--
	a.out = endLength(a.out, start, protowire.SizeVarint(uint64(len(body))))
	return width + len(body), whole
}

func (a *applier) group(n *node, number protowire.Number, data []byte) (length int, ok bool) {
	a.out = protowire.AppendTag(a.out, number, protowire.StartGroupType)
	body, length := protowire.ConsumeGroup(number, data)
	if length < 0 {
		body = data
	}
	a.depth++
	a.message(n, body)
	a.depth--
	a.out = protowire.AppendTag(a.out, number, protowire.EndGroupType)
	return length, length >= 0
}
