package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// leaf is a single value of a block, with the path to it.
type leaf struct {
	path, text string
	secret     bool
}

// flatten returns all values of a block in the order of its struct. Keyed
// lists are told apart by their keys, other lists are one value.
func (s shapes) flatten(v reflect.Value) []leaf {
	var out []leaf
	for _, f := range s.of(v.Type()) {
		if f.key != "" {
			out = append(out, s.flattenField(f.key, v.Field(f.index), f)...)
		}
	}
	return out
}

func (s shapes) flattenField(path string, v reflect.Value, f field) []leaf {
	if v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct {
		if v.IsNil() {
			return nil
		}
		// A block may be given with nothing in it, and that means something.
		return append([]leaf{{path: path, text: "on"}}, s.flattenField(path, v.Elem(), f)...)
	}
	if f.keyed {
		return s.flattenKeyed(path, v, f)
	}
	if v.Kind() == reflect.Struct && !isText(v) {
		var out []leaf
		for _, l := range s.flatten(v) {
			l.path, l.secret = path+"."+l.path, l.secret || f.secret
			out = append(out, l)
		}
		return out
	}
	return []leaf{{path: path, text: s.inline(v), secret: f.secret}}
}

func (s shapes) flattenKeyed(path string, v reflect.Value, f field) []leaf {
	var out []leaf
	fields := s.of(v.Type().Elem())
	for i := range v.Len() {
		element := v.Index(i)
		key := element.Field(keyField(fields).index).String()
		for _, l := range s.flatten(element) {
			l.secret = l.secret || f.secret || shortOnly(fields) && isSecretName(key)
			if l.text == "" {
				l.text = `""`
			}
			if shortOnly(fields) {
				l.path = path + "." + key
			} else {
				l.path = path + "." + key + "." + l.path
			}
			out = append(out, l)
		}
	}
	return out
}

// isSecretName reports whether metadata of that name usually holds a secret.
func isSecretName(name string) bool {
	for _, part := range []string{"auth", "cookie", "token", "secret", "passw", "key", "credential", "session"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// isText reports whether a value is written as one text.
func isText(v reflect.Value) bool {
	_, ok := reflect.TypeAssert[encoding.TextMarshaler](v)
	return ok
}

// inline writes a value on one line, as loom.yaml could. Zero values that stand
// for nothing given are the empty text.
func (s shapes) inline(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		if text, ok := reflect.TypeAssert[string](v.Elem()); ok && text == "" {
			return `""`
		}
		return s.inline(v.Elem())
	case isText(v):
		return fmt.Sprint(v.Interface())
	case v.Kind() == reflect.Slice:
		if v.Len() == 0 {
			return ""
		}
		items := make([]string, v.Len())
		for i := range items {
			items[i] = s.inline(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case v.Kind() == reflect.Struct:
		var items []string
		for _, l := range s.flatten(v) {
			if l.text != "" {
				items = append(items, l.path+": "+l.text)
			}
		}
		return "{" + strings.Join(items, ", ") + "}"
	case v.Kind() == reflect.String && needsQuotes(v.String()):
		return strconv.Quote(v.String())
	}
	return fmt.Sprint(v.Interface())
}

// needsQuotes reports whether a text would be unclear among others on a line.
func needsQuotes(s string) bool {
	return strings.ContainsAny(s, ",:{}[]\"") && strings.ContainsAny(s, " ,{}[]") ||
		s != strings.TrimSpace(s) || strings.ContainsFunc(s, unicode.IsControl)
}
