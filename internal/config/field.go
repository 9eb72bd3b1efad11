package config

import (
	"reflect"
	"strings"
)

// field is one key of a block, as the tags of its struct tell it.
type field struct {
	index    int
	key      string // as the file spells it; empty for the field that takes the key of a keyed list
	doc      string
	form     string
	enum     []string
	min, max string
	required bool
	keyed    bool // a list that the file writes as a mapping
	short    bool // a text may stand for the whole block
	alone    bool // and nothing else may
	secret   bool // values are not shown
}

// fieldsOf returns the keys of a block in the order of its struct.
func fieldsOf(t reflect.Type) []field {
	fields := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		key, option, _ := strings.Cut(tag.Get("yaml"), ",")
		f := field{
			index: i, key: key, doc: tag.Get("doc"), form: tag.Get("form"),
			min: tag.Get("min"), max: tag.Get("max"),
			required: tag.Get("required") != "",
			keyed:    option == "keyed",
			short:    tag.Get("short") != "",
			alone:    tag.Get("short") == "only",
			secret:   tag.Get("secret") != "",
		}
		if enum := tag.Get("enum"); enum != "" {
			f.enum = strings.Split(enum, ",")
		}
		fields = append(fields, f)
	}
	return fields
}

// shapes remembers the fields of blocks: reading the tags takes longer than
// reading the values. The zero value is not usable; it serves one goroutine.
type shapes map[reflect.Type][]field

func (s shapes) of(t reflect.Type) []field {
	fields, ok := s[t]
	if !ok {
		fields = fieldsOf(t)
		s[t] = fields
	}
	return fields
}

// keyField returns the field that takes the keys of a keyed list.
func keyField(fields []field) field {
	for _, f := range fields {
		if f.key == "" {
			return f
		}
	}
	return field{}
}

// shortField returns the field that a plain text stands for in place of a
// whole block, and whether there is one.
func shortField(fields []field) (field, bool) {
	for _, f := range fields {
		if f.short {
			return f, true
		}
	}
	return field{}, false
}

// shortOnly reports whether a block is never written as a mapping.
func shortOnly(fields []field) bool {
	f, ok := shortField(fields)
	return ok && f.alone
}

// setDefaults fills in the defaults of a block and of all blocks within it
// that are always there. v must be addressable.
func setDefaults(v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	if d, ok := reflect.TypeAssert[defaulter](v.Addr()); ok {
		d.setDefaults()
	}
	for _, child := range v.Fields() {
		setDefaults(child)
	}
}
