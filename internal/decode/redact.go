package decode

import (
	"reflect"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// mask stands where a secret text or bytes stood.
const mask = "[redacted]"

// maxPlans bounds the plans that a Redactor keeps. They are cheap to make
// again, so all are dropped when there are more: descriptors that changed
// leave plans behind which nobody asks for.
const maxPlans = 4096

// Redactor knows which fields are secret. It may be used by many goroutines
// at once.
type Redactor struct {
	// Immutable.
	fields   map[protoreflect.FullName]bool
	inflater *inflater

	mu sync.RWMutex
	// Guarded by mu.
	plans map[planKey]*Plan // a nil plan: nothing to do
}

type planKey struct {
	desc  protoreflect.MessageDescriptor
	types Resolver
}

// NewRedactor makes a redactor of fields by their full names, such as
// acme.users.v1.User.email, besides those that are marked debug_redact.
func NewRedactor(fields []string) *Redactor {
	r := &Redactor{
		fields:   make(map[protoreflect.FullName]bool, len(fields)),
		inflater: &inflater{},
		plans:    map[planKey]*Plan{},
	}
	for _, f := range fields {
		r.fields[protoreflect.FullName(f)] = true
	}
	return r
}

// HasFields says whether fields were configured. If so, a message of unknown
// type may hold one.
func (r *Redactor) HasFields() bool { return len(r.fields) > 0 }

// Plan is PlanWith the types in the files of desc.
func (r *Redactor) Plan(desc protoreflect.MessageDescriptor) *Plan { return r.PlanWith(desc, nil) }

// PlanWith says how to take secrets out of messages of this type: nil if
// neither it nor any message in it can hold one. types resolves what an Any
// holds, and extensions; it may be nil. Plans are kept.
func (r *Redactor) PlanWith(desc protoreflect.MessageDescriptor, types Resolver) *Plan {
	if desc == nil {
		return nil
	}
	key := planKey{desc: desc, types: types}
	// Both come from other packages; what cannot be a key is planned anew.
	kept := reflect.ValueOf(desc).Comparable() && (types == nil || reflect.ValueOf(types).Comparable())
	if kept {
		r.mu.RLock()
		p, ok := r.plans[key]
		r.mu.RUnlock()
		if ok {
			return p
		}
	}
	p := r.plan(desc, resolverOf(desc, types))
	if kept {
		r.mu.Lock()
		if len(r.plans) >= maxPlans {
			clear(r.plans)
		}
		r.plans[key] = p
		r.mu.Unlock()
	}
	return p
}

func (r *Redactor) plan(desc protoreflect.MessageDescriptor, types resolver) *Plan {
	b := planner{redactor: r, nodes: map[protoreflect.FullName]*node{}, parents: map[*node][]*node{}}
	root := b.node(desc)
	b.spread()
	if !root.needed {
		return nil
	}
	return &Plan{root: root, redactor: r, types: types}
}

func (r *Redactor) secret(fd protoreflect.FieldDescriptor) bool {
	if r.fields[fd.FullName()] {
		return true
	}
	o, ok := fd.Options().(*descriptorpb.FieldOptions)
	return ok && o.GetDebugRedact()
}

// rule says what to do with a field.
type rule struct {
	do    action
	into  *node // of descend
	group bool  // of descend: the field is a group on the wire
}

type action uint8

const (
	keep action = iota
	maskText
	drop
	descend
)

// node is a message type: the rules of its fields. A field without rule is
// kept.
type node struct {
	rules      map[protoreflect.FieldNumber]rule
	isAny      bool
	extensions protoreflect.FieldRanges // nil if there are none
	name       protoreflect.FullName
	needed     bool // a field of it, or of a message in it, may be secret
}

// planner builds the nodes of all the types that a message may hold, which
// may hold each other.
type planner struct {
	redactor *Redactor
	nodes    map[protoreflect.FullName]*node
	parents  map[*node][]*node
}

func (b *planner) node(desc protoreflect.MessageDescriptor) *node {
	if n := b.nodes[desc.FullName()]; n != nil {
		return n
	}
	n := &node{
		rules: map[protoreflect.FieldNumber]rule{}, name: desc.FullName(),
		isAny: desc.FullName() == anyName,
	}
	b.nodes[desc.FullName()] = n
	n.needed = n.isAny
	if desc.ExtensionRanges().Len() > 0 {
		n.extensions, n.needed = desc.ExtensionRanges(), true
	}
	for i := range desc.Fields().Len() {
		fd := desc.Fields().Get(i)
		ru := b.rule(fd)
		if ru.do == keep {
			continue
		}
		n.rules[fd.Number()] = ru
		if ru.do == descend {
			b.parents[ru.into] = append(b.parents[ru.into], n)
		} else {
			n.needed = true
		}
	}
	return n
}

func (b *planner) rule(fd protoreflect.FieldDescriptor) rule {
	switch {
	case b.redactor.secret(fd):
		if k := fd.Kind(); k == protoreflect.StringKind || k == protoreflect.BytesKind {
			return rule{do: maskText}
		}
		return rule{do: drop}
	case fd.Message() != nil && fd.Message().IsPlaceholder() && fd.Message().FullName() != anyName:
		// Its file is missing: any of the configured fields may be in it. What
		// an Any looks like is known without its file.
		if b.redactor.HasFields() {
			return rule{do: drop}
		}
		return rule{}
	case fd.Message() != nil:
		return rule{do: descend, into: b.node(fd.Message()), group: fd.Kind() == protoreflect.GroupKind}
	default:
		return rule{}
	}
}

// spread marks what holds something needed, and then forgets the rules that
// lead nowhere, so that such messages are copied as they are.
func (b *planner) spread() {
	var queue []*node
	for _, n := range b.nodes {
		if n.needed {
			queue = append(queue, n)
		}
	}
	for len(queue) > 0 {
		n := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, p := range b.parents[n] {
			if !p.needed {
				p.needed = true
				queue = append(queue, p)
			}
		}
	}
	for _, n := range b.nodes {
		for number, ru := range n.rules {
			if ru.do == descend && !ru.into.needed {
				delete(n.rules, number)
			}
		}
	}
}
