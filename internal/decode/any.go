package decode

import (
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	anyName        = "google.protobuf.Any"
	anyURL         = 1
	anyValue       = 2
	maxAnyURLShown = 1024 // of a type that nobody knows
)

// any writes an Any without the secrets of the message in it. A value whose
// type is not certain is left out if it may hold one.
func (a *applier) any(data []byte) {
	inner, keepValue := a.inAny(data)
	for len(data) > 0 {
		number, wire, size := protowire.ConsumeTag(data)
		if size < 0 {
			a.cut()
			return
		}
		length := protowire.ConsumeFieldValue(number, wire, data[size:])
		switch {
		case number == anyValue && (wire != protowire.BytesType || inner == nil && !keepValue):
			a.changed = true
		case number == anyValue && inner != nil:
			if a.depth >= maxRedactedDepth {
				a.changed = true
				break
			}
			outer := a.plan
			a.plan = inner
			length, ok := a.submessage(inner.root, number, data[size:])
			a.plan = outer
			if !ok {
				a.cut()
				return
			}
			data = data[size+length:]
			continue
		case length >= 0:
			a.out = append(a.out, data[:size+length]...)
		}
		if length < 0 {
			a.cut()
			return
		}
		data = data[size+length:]
	}
}

// inAny finds the plan of the message in an Any: nil if it has no secrets, or
// if nobody knows the type. Whether the value may then be kept is the other
// result.
func (a *applier) inAny(data []byte) (inner *Plan, keepValue bool) {
	url, ok := typeURL(data)
	if !ok {
		return nil, false
	}
	t, err := a.plan.types.FindMessageByURL(url)
	if err != nil {
		return nil, !a.plan.redactor.HasFields()
	}
	inner = a.plan.redactor.PlanWith(t.Descriptor(), a.plan.types)
	return inner, inner == nil
}

// typeURL finds the one type that an Any names. Two of them, or none, are not
// to be trusted: parsers merge an Any with another one that follows it.
func typeURL(data []byte) (string, bool) {
	url, found := "", false
	for len(data) > 0 {
		number, wire, size := protowire.ConsumeTag(data)
		if size < 0 {
			break
		}
		length := protowire.ConsumeFieldValue(number, wire, data[size:])
		if length < 0 {
			break
		}
		if number == anyURL && wire == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(data[size:])
			if found && url != string(v) {
				return "", false
			}
			url, found = string(v), true
		}
		data = data[size+length:]
	}
	return url, found
}

// shownURL is a type URL fit for a sentence.
func shownURL(m protoreflect.Message) string {
	url := m.Get(m.Descriptor().Fields().ByNumber(anyURL)).String()
	if len(url) > maxAnyURLShown {
		url = url[:maxAnyURLShown]
	}
	if !utf8.ValidString(url) {
		url = strings.ToValidUTF8(url, "\uFFFD")
	}
	return url
}
