package decode

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// maxEncodeError bounds what is said about one text: nobody mends more at a
// time.
const maxEncodeError = 100

// FieldError says what is wrong with one field.
type FieldError struct {
	Path    string `json:"path"` // RFC 6901; empty for the whole text
	Message string `json:"message"`
}

// EncodeError is the error of Encode.
type EncodeError struct{ Fields []FieldError }

// Error names all of them.
func (e *EncodeError) Error() string {
	texts := make([]string, 0, len(e.Fields))
	for _, f := range e.Fields {
		if f.Path == "" {
			texts = append(texts, f.Message)
		} else {
			texts = append(texts, f.Path+": "+f.Message)
		}
	}
	return strings.Join(texts, "; ")
}

// Encode makes bytes of protojson. It also takes what Message shows and
// protojson does not know: the value of an Any of unknown type in base64. The
// error is a *EncodeError with all that is wrong, at most 100.
func (d *Decoder) Encode(desc protoreflect.MessageDescriptor, types Resolver, js []byte) ([]byte, error) {
	e := encoder{types: resolverOf(desc, types), depth: d.limits.Depth}
	v, err := parseWhole(js)
	if err != nil {
		return nil, &EncodeError{Fields: []FieldError{{Message: err.Error()}}}
	}
	m := dynamicpb.NewMessage(desc)
	e.message("", m, v)
	if len(e.errs) > 0 {
		return nil, &EncodeError{Fields: e.errs}
	}
	out, err := proto.MarshalOptions{AllowPartial: true, Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, &EncodeError{Fields: []FieldError{{Message: err.Error()}}}
	}
	return out, nil
}

func parseWhole(js []byte) (any, error) {
	if !json.Valid(js) {
		var v any
		err := json.Unmarshal(js, &v)
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, fmt.Errorf("not JSON at byte %d: %w", syntax.Offset, err)
		}
		return nil, errors.New("not JSON")
	}
	v, _ := parseJSON(js)
	return v, nil
}

type encoder struct {
	types resolver
	depth int
	errs  []FieldError
}

func (e *encoder) fail(path, format string, args ...any) {
	if len(e.errs) < maxEncodeError {
		e.errs = append(e.errs, FieldError{Path: path, Message: fmt.Sprintf(format, args...)})
	}
}

func (e *encoder) message(path string, m protoreflect.Message, v any) {
	name := m.Descriptor().FullName()
	if name == anyName {
		e.any(path, m, v)
		return
	}
	if isWellKnown(name) {
		js, err := json.Marshal(v)
		if err == nil {
			err = protojson.UnmarshalOptions{AllowPartial: true, Resolver: e.types}.Unmarshal(js, m.Interface())
		}
		if err != nil {
			e.fail(path, "%s", protoText(err))
		}
		return
	}
	object, ok := v.(map[string]any)
	if !ok {
		e.fail(path, "want an object (%s), have %s", name, kindOf(v))
		return
	}
	e.members(path, m, object)
}

// protoText is an error of protojson without its prefix, whose blanks vary.
func protoText(err error) string {
	text := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto: ")
	if _, after, ok := strings.Cut(text, "): "); ok && strings.HasPrefix(text, "(line ") {
		text = after
	}
	return text
}

func (e *encoder) members(path string, m protoreflect.Message, object map[string]any) {
	if e.depth--; e.depth < 0 {
		e.fail(path, "nested too deep")
		e.depth++
		return
	}
	defer func() { e.depth++ }()
	set := map[protoreflect.FullName]string{} // fields, and oneofs, by the name that set them
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := path + "/" + pointerEscape(name)
		fd := e.find(m.Descriptor(), name)
		if fd == nil {
			e.fail(at, "%s has no such field", m.Descriptor().FullName())
			continue
		}
		v := object[name]
		if v == nil && !takesNull(fd) {
			continue
		}
		key := fd.FullName()
		if o := fd.ContainingOneof(); o != nil && !o.IsSynthetic() {
			key = o.FullName()
		}
		if other, ok := set[key]; ok {
			e.fail(at, "%s is set already: only one of them may be", other)
			continue
		}
		set[key] = name
		e.field(at, m, fd, v)
	}
}

// takesNull says that null is a value of the field, not its absence.
func takesNull(fd protoreflect.FieldDescriptor) bool {
	if fd.IsList() || fd.IsMap() {
		return false
	}
	return fd.Message() != nil && fd.Message().FullName() == "google.protobuf.Value" ||
		fd.Enum() != nil && fd.Enum().FullName() == "google.protobuf.NullValue"
}

func (e *encoder) find(desc protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") {
		x, err := e.types.FindExtensionByName(protoreflect.FullName(name[1 : len(name)-1]))
		if err != nil || x.TypeDescriptor().ContainingMessage().FullName() != desc.FullName() {
			return nil
		}
		return x.TypeDescriptor()
	}
	if fd := desc.Fields().ByJSONName(name); fd != nil {
		return fd
	}
	return desc.Fields().ByTextName(name)
}

func (e *encoder) field(path string, m protoreflect.Message, fd protoreflect.FieldDescriptor, v any) {
	switch {
	case fd.IsMap():
		e.entries(path, m.Mutable(fd).Map(), fd, v)
	case fd.IsList():
		e.list(path, m.Mutable(fd).List(), fd, v)
	case fd.Message() != nil:
		e.message(path, m.Mutable(fd).Message(), v)
	default:
		if x, ok := e.scalar(path, fd, v); ok {
			m.Set(fd, x)
		}
	}
}

func (e *encoder) list(path string, l protoreflect.List, fd protoreflect.FieldDescriptor, v any) {
	array, ok := v.([]any)
	if !ok {
		e.fail(path, "want an array, have %s", kindOf(v))
		return
	}
	for i, element := range array {
		at := path + "/" + strconv.Itoa(i)
		if fd.Message() != nil {
			x := l.NewElement()
			e.message(at, x.Message(), element)
			l.Append(x)
		} else if x, ok := e.scalar(at, fd, element); ok {
			l.Append(x)
		}
	}
}

func (e *encoder) entries(path string, m protoreflect.Map, fd protoreflect.FieldDescriptor, v any) {
	object, ok := v.(map[string]any)
	if !ok {
		e.fail(path, "want an object (a map), have %s", kindOf(v))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := path + "/" + pointerEscape(name)
		var kv any = name
		if fd.MapKey().Kind() == protoreflect.BoolKind {
			kv = name == "true"
			if name != "true" && name != "false" {
				kv = name // which is said to be wrong
			}
		}
		k, ok := e.scalar(at, fd.MapKey(), kv)
		if !ok {
			continue
		}
		if fd.MapValue().Message() != nil {
			x := m.NewValue()
			e.message(at, x.Message(), object[name])
			m.Set(k.MapKey(), x)
		} else if x, ok := e.scalar(at, fd.MapValue(), object[name]); ok {
			m.Set(k.MapKey(), x)
		}
	}
}

// any encodes {"@type": URL, fields...}.
func (e *encoder) any(path string, m protoreflect.Message, v any) {
	object, ok := v.(map[string]any)
	if !ok {
		e.fail(path, "want an object with @type, have %s", kindOf(v))
		return
	}
	if len(object) == 0 {
		return
	}
	url, ok := object["@type"].(string)
	if !ok {
		e.fail(path+"/@type", "an Any names its type here, such as type.googleapis.com/google.rpc.ErrorInfo")
		return
	}
	fields := m.Descriptor().Fields()
	m.Set(fields.ByNumber(anyURL), protoreflect.ValueOfString(url))
	setValue := func(b []byte) { m.Set(fields.ByNumber(anyValue), protoreflect.ValueOfBytes(b)) }
	t, err := e.types.FindMessageByURL(url)
	if err != nil {
		text, ok := object["value"].(string)
		b, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil {
			e.fail(path+"/@type", "type %s is not known; give its bytes in base64 as value", url)
			return
		}
		setValue(b)
		return
	}
	if e.depth <= 0 {
		e.fail(path, "nested too deep")
		return
	}
	e.depth--
	defer func() { e.depth++ }()
	inner := dynamicpb.NewMessage(t.Descriptor())
	if name := t.Descriptor().FullName(); isWellKnown(name) || name == anyName || name == "google.protobuf.Empty" {
		e.message(path+"/value", inner, object["value"])
	} else {
		rest := maps.Clone(object)
		delete(rest, "@type")
		e.members(path, inner, rest)
	}
	b, err := proto.MarshalOptions{AllowPartial: true, Deterministic: true}.Marshal(inner)
	if err != nil {
		e.fail(path, "%s", protoText(err))
		return
	}
	setValue(b)
}
