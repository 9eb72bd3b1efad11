package decode

import (
	"bytes"
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// isWellKnown says that a type has a JSON of its own.
func isWellKnown(name protoreflect.FullName) bool {
	switch name {
	case "google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask",
		"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue",
		"google.protobuf.DoubleValue", "google.protobuf.FloatValue", "google.protobuf.Int64Value",
		"google.protobuf.UInt64Value", "google.protobuf.Int32Value", "google.protobuf.UInt32Value",
		"google.protobuf.BoolValue", "google.protobuf.StringValue", "google.protobuf.BytesValue":
		return true
	default:
		return false
	}
}

// wellKnown writes a message that has a JSON of its own. It returns false if
// it is none, or if its content has no such JSON, such as a time in the year
// 20000: then its plain fields are shown.
func (w *writer) wellKnown(m protoreflect.Message) bool {
	name := m.Descriptor().FullName()
	if name == anyName {
		w.any(m)
		return true
	}
	if !isWellKnown(name) {
		return false
	}
	js, err := protojson.MarshalOptions{AllowPartial: true, Resolver: w.types}.Marshal(m.Interface())
	if err != nil {
		w.res.problem("the " + string(name.Name()) + " at " + w.path + " is not valid, its fields are shown")
		return false
	}
	if len(js) > w.limits.Output-len(w.out) {
		w.res.cut(true, "the "+string(name.Name())+" at "+w.path+" is too long and left out")
		w.out = append(w.out, "null"...)
		return true
	}
	var buf bytes.Buffer
	if json.Compact(&buf, js) != nil { // protojson adds blanks at random
		return false
	}
	w.unknown(m)
	w.out = append(w.out, buf.Bytes()...)
	return true
}

// any writes the message in an Any, or its value in base64 with a tree of its
// fields if nobody knows the type.
func (w *writer) any(m protoreflect.Message) {
	w.unknown(m)
	fields := m.Descriptor().Fields()
	url, value := shownURL(m), m.Get(fields.ByNumber(anyValue)).Bytes()
	w.out = append(w.out, '{')
	if url == "" && len(value) == 0 {
		w.out = append(w.out, '}')
		return
	}
	w.out = append(w.out, `"@type":`...)
	w.text(url)
	defer func() { w.out = append(w.out, '}') }()
	t, err := w.types.FindMessageByURL(url)
	if err != nil || w.depth >= w.limits.Depth {
		w.unknownAny(value)
		return
	}
	inner := w.parse(t.Descriptor(), value)
	if inner == nil {
		w.unknownAny(value)
		return
	}
	name := t.Descriptor().FullName()
	if isWellKnown(name) || name == anyName || name == "google.protobuf.Empty" {
		w.out = append(w.out, `,"value":`...)
		w.depth++
		w.message(inner)
		w.depth--
		return
	}
	w.members(inner, false)
}

func (w *writer) unknownAny(value []byte) {
	if len(value) == 0 || w.full() {
		return
	}
	w.out = append(w.out, `,"value":`...)
	w.bytes(value)
	if w.full() {
		return
	}
	t := tree{limits: w.limits, out: w.out, fields: w.limits.Fields - w.fields}
	t.out = append(t.out, `,"@fields":`...)
	t.message(value, 0)
	w.out, w.fields = t.out, w.limits.Fields-max(t.fields, 0)
}
