package config

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
)

// schemaNode is the part of JSON Schema draft-07 that describes loom.yaml. The
// order of its fields is that of the text.
type schemaNode struct {
	Schema      string        `json:"$schema,omitempty"`
	Title       string        `json:"title,omitempty"`
	Description string        `json:"description,omitempty"`
	Type        any           `json:"type,omitempty"` // a string or a list of them
	AnyOf       []*schemaNode `json:"anyOf,omitempty"`
	Enum        []string      `json:"enum,omitempty"`
	Pattern     string        `json:"pattern,omitempty"`
	Minimum     *float64      `json:"minimum,omitempty"`
	Maximum     *float64      `json:"maximum,omitempty"`
	MinItems    int           `json:"minItems,omitempty"`
	Items       *schemaNode   `json:"items,omitempty"`
	MinKeys     int           `json:"minProperties,omitempty"`
	Names       *schemaNode   `json:"propertyNames,omitempty"`
	Required    []string      `json:"required,omitempty"`
	Properties  properties    `json:"properties,omitempty"`
	// Additional is false, or what all keys hold where they are free.
	Additional any `json:"additionalProperties,omitempty"`
	Default    any `json:"default,omitempty"`
}

// properties are keys in the order of their struct.
type properties []property

type property struct {
	key  string
	node *schemaNode
}

// MarshalJSON writes an object in the order of the list.
func (p properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, entry := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		text, err := encode(entry.node)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", entry.key, text)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode writes JSON without the escapes that are for HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// variable is the pattern of a text that holds an environment variable, which
// may stand wherever a value may.
const variable = `\$\{env:`

// Schema returns a JSON Schema (draft-07) of loom.yaml, for editors. It is
// made of the structs of this package and ends in a line feed. It knows what
// may stand where; that references lead somewhere, only Load can tell.
func Schema() []byte {
	root := schemaOfBlock("", reflect.TypeFor[Config]())
	root.Schema = "http://json-schema.org/draft-07/schema#"
	root.Title = "loom.yaml"
	var out bytes.Buffer
	text, err := encode(root)
	if err == nil {
		err = json.Indent(&out, text, "", "  ")
	}
	if err != nil {
		// The schema is the same in every run, so a test would have seen it.
		//nolint:forbidigo // it cannot happen, and hiding it would help nobody
		panic(fmt.Sprintf("config: write the JSON Schema: %v", err))
	}
	return out.Bytes()
}

// schemaOfBlock describes a struct written as a mapping. The path is that of
// the block, with [] for each element of a list.
func schemaOfBlock(path string, t reflect.Type) *schemaNode {
	start := reflect.New(t).Elem()
	setDefaults(start)
	node := &schemaNode{Type: "object", Additional: false}
	for _, f := range fieldsOf(t) {
		if f.key == "" {
			continue
		}
		at := join(path, f.key)
		child := schemaOf(at, t.Field(f.index).Type, f)
		child.Description = f.doc
		if f.required {
			node.Required = append(node.Required, f.key)
		} else {
			child.Default = defaultOf(start.Field(f.index))
		}
		node.Properties = append(node.Properties, property{f.key, child})
	}
	return node
}

// schemaOf describes a value of type t under the key f.
func schemaOf(path string, t reflect.Type, f field) *schemaNode {
	switch {
	case t.Kind() == reflect.Pointer:
		return schemaOf(path, t.Elem(), f)
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return schemaOfText(t)
	case t.Kind() == reflect.Slice:
		return schemaOfList(path, t, f)
	case t.Kind() == reflect.Struct:
		return schemaOfStruct(path, t)
	case t.Kind() == reflect.String:
		return schemaOfString(f)
	case t.Kind() == reflect.Bool:
		return &schemaNode{Type: []string{"boolean", "string"}, Pattern: variable}
	}
	kind := "integer"
	if t.Kind() == reflect.Float64 {
		kind = "number"
	}
	return &schemaNode{Type: []string{kind, "string"}, Pattern: variable, Minimum: number(f.min), Maximum: number(f.max)}
}

// schemaOfText describes the types that read themselves.
func schemaOfText(t reflect.Type) *schemaNode {
	switch t {
	case reflect.TypeFor[Duration]():
		return quantity(durationPattern)
	case reflect.TypeFor[Size]():
		return quantity(sizePattern)
	case reflect.TypeFor[FileMode]():
		return &schemaNode{Type: []string{"string", "integer"}, Pattern: whole(fileModePattern)}
	case reflect.TypeFor[Code]():
		return oneOf(codeNames())
	}
	return &schemaNode{Type: "string", Pattern: whole(addressPattern)}
}

// quantity is a text with a unit, or 0.
func quantity(pattern string) *schemaNode {
	return &schemaNode{Type: []string{"string", "integer"}, Pattern: whole(pattern), Minimum: number("0"), Maximum: number("0")}
}

// whole makes a pattern match the whole text, or one with a variable in it.
func whole(pattern string) string { return "^(" + pattern + ")$|" + variable }

func oneOf(words []string) *schemaNode {
	return &schemaNode{AnyOf: []*schemaNode{{Enum: words}, {Type: "string", Pattern: variable}}}
}

func schemaOfString(f field) *schemaNode {
	if f.enum != nil {
		return oneOf(f.enum)
	}
	node := &schemaNode{Type: "string"}
	if form, ok := formOf(f.form); ok && form.pattern != "" {
		node.Pattern = whole(form.pattern)
	}
	return node
}

func schemaOfList(path string, t reflect.Type, f field) *schemaNode {
	least := 0
	if f.min != "" {
		least = 1
	}
	items := schemaOf(path+"[]", t.Elem(), elementField(f))
	if !f.keyed {
		return &schemaNode{Type: "array", Items: items, MinItems: least}
	}
	node := &schemaNode{Type: "object", Additional: items, MinKeys: least}
	if form, ok := formOf(keyField(fieldsOf(t.Elem())).form); ok {
		node.Names = &schemaNode{Pattern: "^(" + form.pattern + ")$"}
	}
	return node
}

// schemaOfStruct describes a block, and the text that may stand for it.
func schemaOfStruct(path string, t reflect.Type) *schemaNode {
	fields := fieldsOf(t)
	short, ok := shortField(fields)
	if !ok {
		return schemaOfBlock(path, t)
	}
	text := schemaOf(path, t.Field(short.index).Type, short)
	if shortOnly(fields) {
		return text
	}
	return &schemaNode{AnyOf: []*schemaNode{text, schemaOfBlock(path, t)}}
}

// number reads a bound, or returns nil if there is none.
func number(text string) *float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil
	}
	return &n
}

// defaultOf returns what a key has unless given, or nil if that is nothing.
func defaultOf(v reflect.Value) any {
	if v.IsZero() || v.Kind() == reflect.Struct && !isText(v) {
		return nil
	}
	return v.Interface()
}
