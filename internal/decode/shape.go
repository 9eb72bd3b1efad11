package decode

import (
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// MessageShape is what a message looks like, one level of it: a page asks for
// the messages in it by their names.
type MessageShape struct {
	Name   string       `json:"name"` // full name
	Doc    string       `json:"doc,omitempty"`
	Fields []FieldShape `json:"fields"`
}

// FieldShape is one field.
type FieldShape struct {
	Name     string      `json:"name"`
	JSONName string      `json:"jsonName"`
	Number   int32       `json:"number"`
	Type     string      `json:"type"`              // such as string, acme.v1.Order or map<string, int64>
	Label    string      `json:"label,omitempty"`   // repeated, map, optional or required
	Message  string      `json:"message,omitempty"` // full name of a message type, that of a map's values
	OneOf    string      `json:"oneof,omitempty"`
	Enum     []EnumShape `json:"enum,omitempty"` // at most 1,000 values
	Doc      string      `json:"doc,omitempty"`  // only if the descriptors came with their comments
	Secret   bool        `json:"secret,omitempty"`
}

// EnumShape is one value of an enum.
type EnumShape struct {
	Name   string `json:"name"`
	Number int32  `json:"number"`
}

// maxEnumShown bounds what a page has to list.
const maxEnumShown = 1000

// Shape describes a message for the tree of services.
func Shape(desc protoreflect.MessageDescriptor) MessageShape {
	s := MessageShape{Name: string(desc.FullName()), Doc: comment(desc), Fields: []FieldShape{}}
	marked := NewRedactor(nil)
	for i := range desc.Fields().Len() {
		fd := desc.Fields().Get(i)
		f := FieldShape{
			Name: string(fd.Name()), JSONName: fd.JSONName(), Number: int32(fd.Number()),
			Type: typeOf(fd), Label: labelOf(fd), Doc: comment(fd), Secret: marked.secret(fd),
		}
		if o := fd.ContainingOneof(); o != nil && !o.IsSynthetic() {
			f.OneOf = string(o.Name())
		}
		of := fd
		if fd.IsMap() {
			of = fd.MapValue()
		}
		if of.Message() != nil {
			f.Message = string(of.Message().FullName())
		}
		if of.Enum() != nil {
			for j := range min(of.Enum().Values().Len(), maxEnumShown) {
				v := of.Enum().Values().Get(j)
				f.Enum = append(f.Enum, EnumShape{Name: string(v.Name()), Number: int32(v.Number())})
			}
		}
		s.Fields = append(s.Fields, f)
	}
	return s
}

func comment(d protoreflect.Descriptor) string {
	return strings.TrimSpace(d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments)
}

func typeOf(fd protoreflect.FieldDescriptor) string {
	switch {
	case fd.IsMap():
		return "map<" + typeOf(fd.MapKey()) + ", " + typeOf(fd.MapValue()) + ">"
	case fd.Message() != nil:
		return string(fd.Message().FullName())
	case fd.Enum() != nil:
		return string(fd.Enum().FullName())
	default:
		return fd.Kind().String()
	}
}

func labelOf(fd protoreflect.FieldDescriptor) string {
	switch {
	case fd.IsMap():
		return "map"
	case fd.IsList():
		return "repeated"
	case fd.Cardinality() == protoreflect.Required:
		return "required"
	case fd.HasOptionalKeyword():
		return "optional"
	default:
		return ""
	}
}

const (
	// maxTemplateDepth and maxTemplateFields bound an example: it is meant to
	// be edited by hand.
	maxTemplateDepth  = 8
	maxTemplateFields = 1000
)

// Template is an example of a message with each of its fields; of a oneof,
// the first. A message within itself is left out. Encode takes it.
func Template(desc protoreflect.MessageDescriptor) json.RawMessage {
	t := templater{above: map[protoreflect.FullName]bool{}, left: maxTemplateFields}
	return t.message(desc)
}

type templater struct {
	above map[protoreflect.FullName]bool // messages that this one is in
	left  int                            // fields that may still come
}

func (t *templater) message(desc protoreflect.MessageDescriptor) json.RawMessage {
	if js := exampleOf(desc.FullName()); js != "" {
		return json.RawMessage(js)
	}
	t.above[desc.FullName()] = true
	defer delete(t.above, desc.FullName())
	out := []byte{'{'}
	for i := range desc.Fields().Len() {
		fd := desc.Fields().Get(i)
		if o := fd.ContainingOneof(); o != nil && o.Fields().Get(0) != fd {
			continue
		}
		of := fd
		if fd.IsMap() {
			of = fd.MapValue()
		}
		if m := of.Message(); m != nil && (t.above[m.FullName()] || m.IsPlaceholder() || len(t.above) >= maxTemplateDepth) {
			continue
		}
		if t.left--; t.left < 0 {
			break
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, jsonOf(fd.JSONName())...)
		out = append(out, ':')
		switch {
		case fd.IsMap():
			key := `"key"`
			if k := fd.MapKey().Kind(); k == protoreflect.BoolKind {
				key = `"true"`
			} else if k != protoreflect.StringKind {
				key = `"1"`
			}
			out = append(out, '{')
			out = append(out, key...)
			out = append(out, ':')
			out = append(append(out, t.value(of)...), '}')
		case fd.IsList():
			out = append(append(append(out, '['), t.value(of)...), ']')
		default:
			out = append(out, t.value(of)...)
		}
	}
	return append(out, '}')
}

func (t *templater) value(fd protoreflect.FieldDescriptor) []byte {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return t.message(fd.Message())
	case protoreflect.EnumKind:
		return exampleEnum(fd.Enum())
	case protoreflect.BoolKind:
		return []byte("false")
	case protoreflect.StringKind, protoreflect.BytesKind:
		return []byte(`""`)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind,
		protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return []byte(`"0"`)
	default:
		return []byte("0")
	}
}

// exampleEnum is the value after the first, which mostly means none.
func exampleEnum(desc protoreflect.EnumDescriptor) []byte {
	switch n := desc.Values().Len(); {
	case desc.FullName() == "google.protobuf.NullValue":
		return []byte("null")
	case n == 0:
		return []byte("0")
	default:
		return jsonOf(string(desc.Values().Get(min(1, n-1)).Name()))
	}
}

// exampleOf is the JSON of a type that has one of its own.
func exampleOf(name protoreflect.FullName) string {
	switch name {
	case anyName:
		return `{"@type":"type.googleapis.com/google.protobuf.Empty","value":{}}`
	case "google.protobuf.Timestamp":
		return `"2026-01-01T00:00:00Z"`
	case "google.protobuf.Duration":
		return `"1.5s"`
	case "google.protobuf.FieldMask", "google.protobuf.StringValue", "google.protobuf.BytesValue":
		return `""`
	case "google.protobuf.Struct":
		return `{"key":"value"}`
	case "google.protobuf.Value":
		return `"value"`
	case "google.protobuf.ListValue":
		return `["value"]`
	case "google.protobuf.BoolValue":
		return "false"
	case "google.protobuf.Int64Value", "google.protobuf.UInt64Value":
		return `"0"`
	case "google.protobuf.DoubleValue", "google.protobuf.FloatValue", "google.protobuf.Int32Value", "google.protobuf.UInt32Value":
		return "0"
	default:
		return ""
	}
}
