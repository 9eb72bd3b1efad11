package config

import (
	"fmt"
	"os"
	"reflect"
	"testing"
)

// fullConfig returns a configuration in which every block is given.
func fullConfig(t *testing.T) *Config {
	t.Helper()
	src, err := os.ReadFile("testdata/wrong/every_key.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, mistakes := parseDocument("every_key.yaml", src)
	cfg := &Config{}
	newDecoder(mistakes, environment).decode(doc.root, cfg)
	if len(mistakes.list) > 0 {
		t.Fatal(Errors(mistakes.list))
	}
	return cfg
}

// everyField returns, for every single value of a full configuration, a
// function that changes it in another and returns its path.
func everyField(t *testing.T) []func(*Config) string {
	t.Helper()
	var out []func(*Config) string
	var walk func(v reflect.Value, steps []int, path string)
	walk = func(v reflect.Value, steps []int, path string) {
		switch {
		case v.Kind() == reflect.Pointer && v.IsNil():
		case v.Kind() == reflect.Pointer:
			walk(v.Elem(), append(steps, 0), path)
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i), append(steps, i), fmt.Sprintf("%s[%d]", path, i))
			}
		case v.Type() == reflect.TypeFor[Address]():
			// The network follows from the text.
			walk(v.FieldByName("Text"), append(steps, 1), path)
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i), append(steps, i), path+"."+v.Type().Field(i).Name)
			}
		default:
			fixed := append([]int(nil), steps...)
			out = append(out, func(cfg *Config) string {
				alter(reach(reflect.ValueOf(cfg).Elem(), fixed))
				return path
			})
		}
	}
	walk(reflect.ValueOf(fullConfig(t)).Elem(), nil, "Config")
	return out
}

func reach(v reflect.Value, steps []int) reflect.Value {
	for _, step := range steps {
		switch v.Kind() {
		case reflect.Pointer:
			v = v.Elem()
		case reflect.Slice:
			v = v.Index(step)
		default:
			v = v.Field(step)
		}
	}
	return v
}

func alter(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Float64:
		v.SetFloat(v.Float() + 0.25)
	case reflect.Uint32:
		v.SetUint(v.Uint() + 1)
	default:
		v.SetInt(v.Int() + 1)
	}
}
