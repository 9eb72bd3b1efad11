package reflectcache

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// sameShape reports whether the messages of two states of a method look the
// same on the wire and in JSON. Names of messages and of files, comments,
// options and the order of fields do not show there. A message whose file did
// not come may be anything, so it is like any other.
func sameShape(a, b protoreflect.MethodDescriptor) bool {
	if a.IsStreamingClient() != b.IsStreamingClient() || a.IsStreamingServer() != b.IsStreamingServer() {
		return false
	}
	type pair struct {
		a, b protoreflect.MessageDescriptor
	}
	seen := map[pair]bool{}
	queue := []pair{{a.Input(), b.Input()}, {a.Output(), b.Output()}}
	for len(queue) > 0 {
		if len(seen) >= maxCompared {
			return false // the files differ, and nobody reads so many messages
		}
		p := queue[0]
		queue = queue[1:]
		if seen[p] || p.a.IsPlaceholder() || p.b.IsPlaceholder() {
			continue
		}
		seen[p] = true
		if !sameJSONRules(p.a, p.b) || p.a.Fields().Len() != p.b.Fields().Len() {
			return false
		}
		for i := range p.a.Fields().Len() {
			f := p.a.Fields().Get(i)
			g := p.b.Fields().ByNumber(f.Number())
			if g == nil || !sameField(f, g) {
				return false
			}
			if f.Message() != nil {
				queue = append(queue, pair{f.Message(), g.Message()})
			}
		}
	}
	return true
}

// sameJSONRules tells apart the well-known types, which JSON shows in ways of
// their own.
func sameJSONRules(a, b protoreflect.MessageDescriptor) bool {
	const special = "google.protobuf."
	if a.FullName() == b.FullName() {
		return true
	}
	return !strings.HasPrefix(string(a.FullName()), special) && !strings.HasPrefix(string(b.FullName()), special)
}

func sameField(f, g protoreflect.FieldDescriptor) bool {
	return f.Kind() == g.Kind() && f.Cardinality() == g.Cardinality() && f.IsMap() == g.IsMap() && f.IsPacked() == g.IsPacked() &&
		f.HasPresence() == g.HasPresence() && f.JSONName() == g.JSONName() &&
		(f.Message() == nil) == (g.Message() == nil) && oneofOf(f) == oneofOf(g) && sameEnum(f.Enum(), g.Enum())
}

// oneofOf names the oneof that a field is in by the smallest number of its
// fields; 0: none. The oneof's own name shows nowhere.
func oneofOf(f protoreflect.FieldDescriptor) protoreflect.FieldNumber {
	o := f.ContainingOneof()
	if o == nil || o.IsSynthetic() {
		return 0
	}
	first := o.Fields().Get(0).Number()
	for i := range o.Fields().Len() {
		first = min(first, o.Fields().Get(i).Number())
	}
	return first
}

// sameEnum compares numbers and names, which JSON shows.
func sameEnum(a, b protoreflect.EnumDescriptor) bool {
	if a == nil || b == nil || a.IsPlaceholder() || b.IsPlaceholder() {
		return (a == nil) == (b == nil)
	}
	if a.Values().Len() != b.Values().Len() || a.IsClosed() != b.IsClosed() {
		return false
	}
	for i := range a.Values().Len() {
		v := a.Values().Get(i)
		w := b.Values().ByName(v.Name())
		if w == nil || w.Number() != v.Number() {
			return false
		}
	}
	return true
}
