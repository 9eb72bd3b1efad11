package decode

import (
	"encoding/base64"
	"math"
	"sort"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// writer writes a message as protojson does, but goes on where that gives up:
// an Any of unknown type, a time out of range, a text that is too long.
type writer struct {
	limits Limits
	types  resolver
	out    []byte
	path   string
	depth  int // Any within Any, in messages
	fields int // spent, over all Any
	res    *Result
}

// root writes the message that data holds.
func (w *writer) root(desc protoreflect.MessageDescriptor, data []byte) {
	m := w.parse(desc, data)
	if m == nil {
		w.out = append(w.out, "{}"...)
		return
	}
	w.message(m)
}

// parse returns nil if the message cannot be parsed, which it has said then.
func (w *writer) parse(desc protoreflect.MessageDescriptor, data []byte) protoreflect.Message {
	r := repairer{types: w.types, depth: w.limits.Depth - w.depth, fields: w.limits.Fields - w.fields, res: w.res}
	r.message(desc, data)
	w.fields = w.limits.Fields - max(r.fields, 0)
	m, err := unmarshal(desc, w.types, r.out, w.limits.Depth)
	if err != nil {
		w.res.problem(err.Error())
		return nil
	}
	return m
}

// full says that the JSON is as long as it may be, and notes it.
func (w *writer) full() bool {
	if len(w.out) < w.limits.Output {
		return false
	}
	w.res.cut(true, "only the first "+strconv.Itoa(w.limits.Output)+" bytes of JSON are shown")
	return true
}

func (w *writer) message(m protoreflect.Message) {
	if w.wellKnown(m) {
		return
	}
	w.out = append(w.out, '{')
	w.members(m, true)
	w.out = append(w.out, '}')
}

// members writes the fields that are set, in the order of their declaration,
// then extensions by name.
func (w *writer) members(m protoreflect.Message, first bool) {
	w.depth++
	defer func() { w.depth-- }()
	w.unknown(m)
	fields := m.Descriptor().Fields()
	var set []protoreflect.FieldDescriptor
	for i := range fields.Len() {
		if fd := fields.Get(i); m.Has(fd) {
			set = append(set, fd)
		}
	}
	declared := len(set)
	if m.Descriptor().ExtensionRanges().Len() > 0 {
		m.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			if fd.IsExtension() {
				set = append(set, fd)
			}
			return true
		})
		extensions := set[declared:]
		sort.Slice(extensions, func(i, j int) bool { return extensions[i].FullName() < extensions[j].FullName() })
	}
	for _, fd := range set {
		if w.full() {
			return
		}
		if !first {
			w.out = append(w.out, ',')
		}
		first = false
		w.text(jsonName(fd))
		w.out = append(w.out, ':')
		w.field(fd, m.Get(fd))
	}
}

func jsonName(fd protoreflect.FieldDescriptor) string {
	if fd.IsExtension() {
		return "[" + string(fd.FullName()) + "]"
	}
	return fd.JSONName()
}

// within runs write one step further down the path.
func (w *writer) within(step string, write func()) {
	before := w.path
	if len(before) < 1024 { // deeper, it is the same place for a reader
		w.path += "/" + pointerEscape(step)
	}
	write()
	w.path = before
}

func (w *writer) field(fd protoreflect.FieldDescriptor, v protoreflect.Value) {
	w.within(jsonName(fd), func() {
		switch {
		case fd.IsMap():
			w.entries(fd, v.Map())
		case fd.IsList():
			w.list(fd, v.List())
		default:
			w.value(fd, v)
		}
	})
}

func (w *writer) list(fd protoreflect.FieldDescriptor, l protoreflect.List) {
	w.out = append(w.out, '[')
	for i := range l.Len() {
		if w.full() {
			break
		}
		if i > 0 {
			w.out = append(w.out, ',')
		}
		if fd.Message() == nil {
			w.value(fd, l.Get(i))
			continue
		}
		w.within(strconv.Itoa(i), func() { w.value(fd, l.Get(i)) })
	}
	w.out = append(w.out, ']')
}

func (w *writer) entries(fd protoreflect.FieldDescriptor, m protoreflect.Map) {
	keys := make([]protoreflect.MapKey, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	sort.Slice(keys, func(i, j int) bool { return lessKey(keys[i], keys[j]) })
	w.out = append(w.out, '{')
	for i, k := range keys {
		if w.full() {
			break
		}
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.text(k.String())
		w.out = append(w.out, ':')
		w.within(k.String(), func() { w.value(fd.MapValue(), m.Get(k)) })
	}
	w.out = append(w.out, '}')
}

func lessKey(a, b protoreflect.MapKey) bool {
	switch x := a.Interface().(type) {
	case int32, int64:
		return a.Int() < b.Int()
	case uint32, uint64:
		return a.Uint() < b.Uint()
	case bool:
		return !x && b.Bool()
	default:
		return a.String() < b.String()
	}
}

// value writes one value of a field.
func (w *writer) value(fd protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		w.message(v.Message())
	case protoreflect.BoolKind:
		w.out = strconv.AppendBool(w.out, v.Bool())
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		w.out = strconv.AppendInt(w.out, v.Int(), 10)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		w.out = strconv.AppendUint(w.out, v.Uint(), 10)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		w.text(strconv.FormatInt(v.Int(), 10))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		w.text(strconv.FormatUint(v.Uint(), 10))
	case protoreflect.FloatKind:
		w.float(v.Float(), 32)
	case protoreflect.DoubleKind:
		w.float(v.Float(), 64)
	case protoreflect.EnumKind:
		w.enum(fd.Enum(), v.Enum())
	case protoreflect.BytesKind:
		w.bytes(v.Bytes())
	default:
		w.text(v.String())
	}
}

func (w *writer) enum(desc protoreflect.EnumDescriptor, n protoreflect.EnumNumber) {
	if desc.FullName() == "google.protobuf.NullValue" {
		w.out = append(w.out, "null"...)
	} else if v := desc.Values().ByNumber(n); v != nil {
		w.text(string(v.Name()))
	} else {
		w.out = strconv.AppendInt(w.out, int64(n), 10)
	}
}

func (w *writer) float(f float64, bits int) {
	switch {
	case math.IsNaN(f):
		w.text("NaN")
	case math.IsInf(f, 1):
		w.text("Infinity")
	case math.IsInf(f, -1):
		w.text("-Infinity")
	case bits == 32:
		w.out = append(w.out, jsonOf(float32(f))...)
	default:
		w.out = append(w.out, jsonOf(f)...)
	}
}

// bytes writes base64, but the mask of a secret in clear.
func (w *writer) bytes(b []byte) {
	if string(b) == mask {
		w.text(mask)
		return
	}
	if room := max(w.limits.Output-len(w.out), 0) / 4 * 3; len(b) > room {
		w.res.cut(true, "the bytes at "+w.path+" are cut")
		b = b[:room]
	}
	w.out = append(w.out, '"')
	w.out = base64.StdEncoding.AppendEncode(w.out, b)
	w.out = append(w.out, '"')
}

func (w *writer) text(s string) {
	if room := max(w.limits.Output-len(w.out), 64); len(s) > room {
		w.res.cut(true, "the text at "+w.path+" is cut")
		for room > 0 && !utf8.RuneStart(s[room]) {
			room--
		}
		s = s[:room]
	}
	w.out = append(w.out, jsonOf(s)...)
}

// unknown notes the fields that the descriptor does not have.
func (w *writer) unknown(m protoreflect.Message) {
	for rest := m.GetUnknown(); len(rest) > 0 && len(w.res.Unknown) < w.limits.Unknown; {
		number, wire, n := protowire.ConsumeField(rest)
		if n < 0 {
			return
		}
		rest = rest[n:]
		w.res.Unknown = append(w.res.Unknown, UnknownField{Path: w.path, Number: int32(number), Wire: wireName(wire)})
	}
}

func wireName(t protowire.Type) string {
	switch t {
	case protowire.VarintType:
		return "varint"
	case protowire.Fixed32Type:
		return "fixed32"
	case protowire.Fixed64Type:
		return "fixed64"
	case protowire.StartGroupType:
		return "group"
	default:
		return "bytes"
	}
}
