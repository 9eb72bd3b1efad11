package decode

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// repairer writes a message anew such that it can be parsed for certain, and
// at a bounded cost: it leaves out what does not end within the data, what is
// nested too deep, and what comes after too many fields, and mends texts that
// are not UTF-8.
type repairer struct {
	types  resolver
	out    []byte
	path   []string // names of the fields that hold what is being read
	depth  int      // messages that may still be nested
	fields int      // fields that may still come
	res    *Result  // is told what was left out
}

// at says where the repairer is, for a sentence.
func (r *repairer) at() string {
	const shown = 20 // names; the path of a message 10,000 deep says no more
	p := r.path
	if len(p) == 0 {
		return "the message"
	}
	if len(p) > shown {
		return "/" + strings.Join(p[:shown], "/") + "/..."
	}
	return "/" + strings.Join(p, "/")
}

// message returns false if what follows must not be read either.
func (r *repairer) message(desc protoreflect.MessageDescriptor, data []byte) bool {
	for at := 0; at < len(data); {
		number, wire, size := protowire.ConsumeTag(data[at:])
		if size < 0 || wire == protowire.EndGroupType {
			r.res.cut(true, fmt.Sprintf("byte %d of %s (of %d) begins no field", at, r.at(), len(data)))
			return true
		}
		if r.fields--; r.fields < 0 {
			r.res.cut(true, "only the first fields of the message are decoded: it has too many")
			return false
		}
		length, ok := r.field(r.find(desc, number), number, wire, data[at+size:])
		if !ok {
			return false
		}
		if length < 0 {
			r.res.cut(true, fmt.Sprintf("field %d at byte %d of %s does not end within it", number, at, r.at()))
			return true
		}
		at += size + length
	}
	return true
}

func (r *repairer) find(desc protoreflect.MessageDescriptor, number protowire.Number) protoreflect.FieldDescriptor {
	if fd := desc.Fields().ByNumber(number); fd != nil {
		return fd
	}
	if desc.ExtensionRanges().Has(number) {
		if x, err := r.types.FindExtensionByNumber(desc.FullName(), number); err == nil {
			return x.TypeDescriptor()
		}
	}
	return nil
}

// field writes one field; data begins with its value. length is negative if
// the value does not end; ok is false if nothing more is to be read.
func (r *repairer) field(fd protoreflect.FieldDescriptor, number protowire.Number, wire protowire.Type, data []byte) (length int, ok bool) {
	length = protowire.ConsumeFieldValue(number, wire, data)
	if fd == nil {
		if length >= 0 {
			r.out = protowire.AppendTag(r.out, number, wire)
			r.out = append(r.out, data[:length]...)
		}
		return length, true
	}
	if fd.Message() != nil && wire == wireOf(fd) {
		return r.submessage(fd, number, data, length)
	}
	if length < 0 {
		return length, true
	}
	value := data[:length]
	if wire == protowire.BytesType {
		body, _ := protowire.ConsumeBytes(value)
		switch {
		case fd.Kind() == protoreflect.StringKind && !utf8.Valid(body):
			r.res.problem(fmt.Sprintf("field %s of %s is not valid UTF-8", fd.Name(), r.at()))
			value = protowire.AppendString(nil, strings.ToValidUTF8(string(body), "\uFFFD"))
		case fd.IsList() && wireOf(fd) != protowire.BytesType:
			return length, r.packed(fd, body)
		}
	}
	r.out = protowire.AppendTag(r.out, number, wire)
	r.out = append(r.out, value...)
	return length, true
}

func (r *repairer) submessage(fd protoreflect.FieldDescriptor, number protowire.Number, data []byte, length int) (int, bool) {
	if r.depth == 0 {
		r.res.cut(true, fmt.Sprintf("what is in %s is nested too deep and left out", r.at()))
		return length, true
	}
	r.depth--
	r.path = append(r.path, string(fd.Name()))
	defer func() {
		r.depth++
		r.path = r.path[:len(r.path)-1]
	}()
	if fd.Kind() == protoreflect.GroupKind {
		body, n := protowire.ConsumeGroup(number, data)
		if n < 0 {
			body = data
		}
		r.out = protowire.AppendTag(r.out, number, protowire.StartGroupType)
		ok := r.message(fd.Message(), body)
		r.out = protowire.AppendTag(r.out, number, protowire.EndGroupType)
		return length, ok
	}
	claimed, width := protowire.ConsumeVarint(data)
	if width < 0 {
		return width, true
	}
	body := data[width:]
	if claimed <= uint64(len(body)) {
		body = body[:claimed]
	}
	r.out = protowire.AppendTag(r.out, number, protowire.BytesType)
	var start int
	r.out, start = beginLength(r.out, len(body))
	ok := r.message(fd.Message(), body)
	r.out = endLength(r.out, start, protowire.SizeVarint(uint64(len(body))))
	return length, ok
}

// packed writes the elements that are whole. It returns false when there are
// too many.
func (r *repairer) packed(fd protoreflect.FieldDescriptor, body []byte) bool {
	at, ok := 0, true
	for at < len(body) {
		if r.fields--; r.fields < 0 {
			r.res.cut(true, "only the first elements of "+string(fd.Name())+" in "+r.at()+" are decoded: it has too many")
			ok = false
			break
		}
		n := protowire.ConsumeFieldValue(fd.Number(), wireOf(fd), body[at:])
		if n < 0 {
			r.res.cut(true, "element at byte "+strconv.Itoa(at)+" of "+string(fd.Name())+" in "+r.at()+" does not end within it")
			break
		}
		at += n
	}
	r.out = protowire.AppendTag(r.out, fd.Number(), protowire.BytesType)
	r.out = protowire.AppendBytes(r.out, body[:at])
	return ok
}

// wireOf is the wire type of one value of a field.
func wireOf(fd protoreflect.FieldDescriptor) protowire.Type {
	switch fd.Kind() {
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	default:
		return protowire.VarintType
	}
}
