package decode

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// kindOf names a JSON value for a sentence.
func kindOf(v any) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(x)
	case json.Number:
		return clip(x.String())
	case string:
		return strconv.Quote(clip(x))
	case []any:
		return "an array"
	default:
		return "an object"
	}
}

// clip keeps a value short enough to be quoted in a sentence.
func clip(s string) string {
	const shown = 40
	if len(s) <= shown {
		return s
	}
	return strings.ToValidUTF8(s[:shown], "") + "..."
}

// scalar makes a value of a field that is no message.
func (e *encoder) scalar(path string, fd protoreflect.FieldDescriptor, v any) (protoreflect.Value, bool) {
	x, ok := scalarOf(fd, v)
	if ok {
		return x, true
	}
	want := fd.Kind().String()
	if fd.Kind() == protoreflect.EnumKind {
		want = "a value of " + string(fd.Enum().FullName())
		if names := enumNames(fd.Enum()); len(names) <= 10 {
			want += " (" + strings.Join(names, ", ") + ")"
		}
	} else if fd.Kind() == protoreflect.BytesKind {
		want = "bytes in base64"
	}
	e.fail(path, "want %s, have %s", want, kindOf(v))
	return protoreflect.Value{}, false
}

func enumNames(desc protoreflect.EnumDescriptor) []string {
	names := make([]string, desc.Values().Len())
	for i := range names {
		names[i] = string(desc.Values().Get(i).Name())
	}
	return names
}

func scalarOf(fd protoreflect.FieldDescriptor, v any) (protoreflect.Value, bool) {
	text, isText := v.(string)
	switch fd.Kind() {
	case protoreflect.BoolKind:
		b, ok := v.(bool)
		return protoreflect.ValueOfBool(b), ok
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text), isText && utf8.ValidString(text)
	case protoreflect.BytesKind:
		if text == mask {
			return protoreflect.ValueOfBytes([]byte(mask)), true
		}
		b, ok := BinaryMetadata(text)
		return protoreflect.ValueOfBytes(b), isText && ok
	case protoreflect.EnumKind:
		return enumOf(fd.Enum(), v)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return floatOf(fd.Kind(), v)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		n, ok := integer(v, math.MinInt32, math.MaxInt32)
		return protoreflect.ValueOfInt32(int32(n)), ok
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		n, ok := integer(v, math.MinInt64, math.MaxInt64)
		return protoreflect.ValueOfInt64(n), ok
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		n, ok := integer(v, 0, math.MaxUint32)
		return protoreflect.ValueOfUint32(uint32(n)), ok
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		n, err := strconv.ParseUint(whole(v), 10, 64)
		return protoreflect.ValueOfUint64(n), err == nil
	default:
		return protoreflect.Value{}, false
	}
}

// whole is the text of a number, 1e3 and 5.0 written out.
func whole(v any) string {
	var text string
	switch x := v.(type) {
	case json.Number:
		text = x.String()
	case string:
		text = x
	default:
		return ""
	}
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return ""
		}
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return text
}

func integer(v any, low, high int64) (int64, bool) {
	n, err := strconv.ParseInt(whole(v), 10, 64)
	return n, err == nil && n >= low && n <= high
}

func floatOf(kind protoreflect.Kind, v any) (protoreflect.Value, bool) {
	bits := 64
	if kind == protoreflect.FloatKind {
		bits = 32
	}
	var f float64
	var err error
	switch x := v.(type) {
	case json.Number:
		f, err = strconv.ParseFloat(x.String(), bits)
	case string:
		f, err = strconv.ParseFloat(x, bits)
	default:
		return protoreflect.Value{}, false
	}
	if bits == 32 {
		return protoreflect.ValueOfFloat32(float32(f)), err == nil
	}
	return protoreflect.ValueOfFloat64(f), err == nil
}

func enumOf(desc protoreflect.EnumDescriptor, v any) (protoreflect.Value, bool) {
	if v == nil {
		return protoreflect.ValueOfEnum(0), desc.FullName() == "google.protobuf.NullValue"
	}
	if text, ok := v.(string); ok {
		if value := desc.Values().ByName(protoreflect.Name(text)); value != nil {
			return protoreflect.ValueOfEnum(value.Number()), true
		}
		return protoreflect.Value{}, false
	}
	n, ok := integer(v, math.MinInt32, math.MaxInt32)
	return protoreflect.ValueOfEnum(protoreflect.EnumNumber(n)), ok
}
