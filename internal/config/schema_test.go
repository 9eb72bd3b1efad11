package config

import (
	"encoding"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

const examples = "../../configs/"

// TestSchemaIsCommitted holds the file that editors read to the structs.
func TestSchemaIsCommitted(t *testing.T) {
	golden(t, examples+"loom.schema.json", string(Schema()))
}

// TestExamples loads every example, without a warning, and holds it against
// the schema that it names in its first line.
func TestExamples(t *testing.T) {
	schema := readSchema(t)
	for _, file := range files(t, examples+"*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, warnings, err := Load(file, func(string) (string, bool) { return "", false })
			if err != nil || len(warnings) > 0 {
				t.Errorf("%v\n%v", err, warnings)
			}
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(src), "# yaml-language-server: $schema=./loom.schema.json\n") {
				t.Error("the first line does not name the schema")
			}
			if err := validate(schema, readYAML(t, src), ""); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSchemaAgreesWithLoad: what Load takes, an editor must not mark as wrong.
func TestSchemaAgreesWithLoad(t *testing.T) {
	schema := readSchema(t)
	for _, file := range slices.Concat(files(t, "testdata/right/*.yaml"), files(t, "testdata/doubtful/*.yaml"), []string{"testdata/wrong/every_key.yaml"}) {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(schema, readYAML(t, src), ""); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestSchemaFindsMistakes: what needs no knowledge of other places, an editor
// marks as wrong.
func TestSchemaFindsMistakes(t *testing.T) {
	schema := readSchema(t)
	for _, name := range []string{
		"unknown_key", "unknown_key_top", "unknown_key_nested", "missing_keys", "missing_top", "empty_lists",
		"type_list", "type_text_for_list", "type_mapping", "type_text", "type_number", "type_bool", "type_block",
		"type_metadata_value", "duration", "size", "size_units", "address", "file_mode", "names", "target",
		"route_deny", "enum", "range", "metadata_match", "metadata_edit", "glob", "service_name", "scalar_document",
	} {
		src, err := os.ReadFile("testdata/wrong/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(schema, readYAML(t, src), ""); err == nil {
			t.Errorf("%s: the schema finds nothing wrong", name)
		}
	}
}

// TestTags holds the tags of the structs to their grammar: a tag that is not
// right would be passed over in silence.
func TestTags(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(typ reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] || reflect.PointerTo(typ).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
			return
		}
		seen[typ] = true
		for _, f := range fieldsOf(typ) {
			at := typ.Name() + "." + typ.Field(f.index).Name
			checkTags(t, at, typ.Field(f.index).Type, f)
			walk(typ.Field(f.index).Type)
		}
	}
	walk(reflect.TypeFor[Config]())
	if len(seen) < 30 {
		t.Errorf("found only %d blocks", len(seen))
	}
}

func checkTags(t *testing.T, at string, typ reflect.Type, f field) {
	t.Helper()
	if f.key != strings.ToLower(f.key) || strings.Contains(f.key, "-") {
		t.Errorf("%s: the key %q is not in snake_case", at, f.key)
	}
	if !strings.HasSuffix(f.doc, ".") {
		t.Errorf("%s: the explanation %q is no sentence", at, f.doc)
	}
	if _, ok := formOf(f.form); f.form != "" && !ok {
		t.Errorf("%s: there is no form %q", at, f.form)
	}
	for _, text := range []string{f.min, f.max} {
		if text == "" || typ.Kind() == reflect.Slice {
			continue
		}
		if _, err := readBound(typ, text); err != nil {
			t.Errorf("%s: bound %q: %v", at, text, err)
		}
	}
	if typ.Kind() == reflect.Slice && (f.max != "" || f.min != "" && f.min != "1") {
		t.Errorf("%s: the only bound of a list is min 1", at)
	}
}

// TestDefaultsAreInRange: a default that nobody could write would be refused
// as soon as somebody does.
func TestDefaultsAreInRange(t *testing.T) {
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		setDefaults(v)
		for _, f := range fieldsOf(v.Type()) {
			at, value := join(path, f.key), v.Field(f.index)
			if value.Kind() == reflect.Pointer || value.Kind() == reflect.Slice {
				value = reflect.New(value.Type().Elem()).Elem()
			}
			switch {
			case value.Kind() == reflect.Struct && !isText(value):
				walk(value, at)
			case value.IsZero():
				// Zero is what a key that is not given stands at.
			case f.enum != nil && !slices.Contains(f.enum, value.String()):
				t.Errorf("%s: the default %v is not allowed", at, value)
			default:
				if err := checkBounds(value, f); err != nil {
					t.Errorf("%s: the default is wrong: %v", at, err)
				}
			}
		}
	}
	walk(reflect.ValueOf(&Config{}).Elem(), "")
}

func readSchema(t *testing.T) map[string]any {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

func readYAML(t *testing.T, src []byte) any {
	t.Helper()
	var document any
	if err := yaml.Unmarshal(src, &document); err != nil {
		t.Fatal(err)
	}
	return document
}

// validate is the part of a draft-07 validator that the schema needs; a
// keyword that it does not know is an error.
func validate(schema map[string]any, v any, path string) error {
	for keyword, want := range schema {
		if err := validateKeyword(schema, keyword, want, v, path); err != nil {
			return err
		}
	}
	return nil
}

func validateKeyword(schema map[string]any, keyword string, want, v any, path string) error {
	object, isObject := v.(map[string]any)
	list, isList := v.([]any)
	text, isText := v.(string)
	bad := func() error { return fmt.Errorf("%s: %s %v does not allow %v", path, keyword, want, v) }
	switch keyword {
	case "$schema", "title", "description", "default":
		return nil
	case "type":
		if !isType(want, v) {
			return bad()
		}
	case "enum":
		if !slices.Contains(want.([]any), v) {
			return bad()
		}
	case "pattern":
		if isText && !regexp.MustCompile(want.(string)).MatchString(text) {
			return bad()
		}
	case "minimum":
		if n, ok := asNumber(v); ok && n < want.(float64) {
			return bad()
		}
	case "maximum":
		if n, ok := asNumber(v); ok && n > want.(float64) {
			return bad()
		}
	case "minItems":
		if isList && len(list) < int(want.(float64)) {
			return bad()
		}
	case "minProperties":
		if isObject && len(object) < int(want.(float64)) {
			return bad()
		}
	case "required":
		for _, key := range want.([]any) {
			if _, ok := object[key.(string)]; isObject && !ok {
				return bad()
			}
		}
	case "items":
		for i, element := range list {
			if err := validate(want.(map[string]any), element, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case "propertyNames":
		for key := range object {
			if err := validate(want.(map[string]any), key, path+"."+key); err != nil {
				return err
			}
		}
	case "properties":
		for key, child := range want.(map[string]any) {
			if value, ok := object[key]; ok {
				if err := validate(child.(map[string]any), value, path+"."+key); err != nil {
					return err
				}
			}
		}
	case "additionalProperties":
		return validateOthers(schema, want, object, path)
	case "anyOf":
		var errs []string
		for _, one := range want.([]any) {
			err := validate(one.(map[string]any), v, path)
			if err == nil {
				return nil
			}
			errs = append(errs, err.Error())
		}
		return fmt.Errorf("%s: none of %s", path, strings.Join(errs, "; "))
	default:
		return fmt.Errorf("%s: the schema has the keyword %s", path, keyword)
	}
	return nil
}

func validateOthers(schema map[string]any, want any, object map[string]any, path string) error {
	known, _ := schema["properties"].(map[string]any)
	for key, value := range object {
		if _, ok := known[key]; ok {
			continue
		}
		child, ok := want.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: the key %s is unknown", path, key)
		}
		if err := validate(child, value, path+"."+key); err != nil {
			return err
		}
	}
	return nil
}

func isType(want, v any) bool {
	if list, ok := want.([]any); ok {
		return slices.ContainsFunc(list, func(one any) bool { return isType(one, v) })
	}
	switch want {
	case "object":
		_, ok := v.(map[string]any)
		return ok
	case "array":
		_, ok := v.([]any)
		return ok
	case "string":
		s, ok := v.(string)
		return ok && utf8.ValidString(s)
	case "boolean":
		_, ok := v.(bool)
		return ok
	case "integer":
		_, ok := v.(int)
		return ok
	case "number":
		_, ok := asNumber(v)
		return ok
	}
	return false
}

func asNumber(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}
