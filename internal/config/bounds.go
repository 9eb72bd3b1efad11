package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
)

// checkBounds returns a mistake if a number, duration or size is outside of
// what the tags of its key allow.
func checkBounds(v reflect.Value, f field) error {
	switch v.Kind() {
	case reflect.Int, reflect.Int64, reflect.Float64:
	default:
		return nil // the bounds of a list are those of its length
	}
	if f.min != "" && less(v, bound(v.Type(), f.min)) || f.max != "" && less(bound(v.Type(), f.max), v) {
		return wrong("%v is out of range: %s", v.Interface(), boundsText(f))
	}
	return nil
}

// boundsText says what a key allows.
func boundsText(f field) string {
	switch {
	case f.max == "":
		return "at least " + f.min
	case f.min == "":
		return "at most " + f.max
	}
	return fmt.Sprintf("%s to %s", f.min, f.max)
}

// bound reads the text of a bound as the type of its key. A tag that is not
// right gives zero; a test reads them all.
func bound(t reflect.Type, text string) reflect.Value {
	v, err := readBound(t, text)
	if err != nil {
		return reflect.Zero(t)
	}
	return v
}

func readBound(t reflect.Type, text string) (reflect.Value, error) {
	v := reflect.New(t)
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v); ok {
		err := u.UnmarshalText([]byte(text))
		return v.Elem(), err
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return v.Elem(), err
	}
	if t.Kind() == reflect.Float64 {
		v.Elem().SetFloat(number)
	} else {
		v.Elem().SetInt(int64(number))
	}
	return v.Elem(), nil
}

func less(a, b reflect.Value) bool {
	if a.Kind() == reflect.Float64 {
		return a.Float() < b.Float()
	}
	return a.Int() < b.Int()
}
