package config

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// scalar reads a text, a number or a truth value.
func (d *decoder) scalar(path string, n *yaml.Node, v reflect.Value, f field) bool {
	if n.Kind != yaml.ScalarNode {
		d.problems.at(n, "", "%s: want %s, found %s", d.label(path), wanted(v.Kind()), describe(n))
		return false
	}
	text, expanded, ok := d.expand(path, n)
	if !ok {
		return false
	}
	// What came out of the environment has no type of its own.
	if !expanded && !fits(n, v.Kind()) {
		d.problems.at(n, typeHint(n, v.Kind()), "%s: want %s, found %s", d.label(path), wanted(v.Kind()), describe(n))
		return false
	}
	switch v.Kind() {
	case reflect.String:
		return d.string(path, n, v, f, text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			d.problems.at(n, "", "%s: want true or false, found %s", d.label(path), quote(text))
			return false
		}
		v.SetBool(text == "true")
		return true
	case reflect.Float64:
		return d.float(path, n, v, text)
	default:
		return d.int(path, n, v, text)
	}
}

// wanted names the kind of value that a key takes.
func wanted(kind reflect.Kind) string {
	switch kind {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// fits reports whether a scalar is of the kind that a key takes.
func fits(n *yaml.Node, kind reflect.Kind) bool {
	switch kind {
	case reflect.String:
		return n.Tag == "!!str"
	case reflect.Bool:
		return n.Tag == "!!bool"
	case reflect.Float64:
		return n.Tag == "!!int" || n.Tag == "!!float"
	}
	return n.Tag == "!!int"
}

// typeHint says how to write a scalar of the wrong kind.
func typeHint(n *yaml.Node, kind reflect.Kind) string {
	text := strings.ToLower(n.Value)
	switch {
	case kind == reflect.String:
		return "write it in quotes: " + quote(n.Value)
	case kind == reflect.Bool && slices.Contains([]string{"yes", "on", "y"}, text):
		return didYouMean("true")
	case kind == reflect.Bool && slices.Contains([]string{"no", "off", "n"}, text):
		return didYouMean("false")
	case n.Style != 0 && (isDigits(text) || text == "true" || text == "false"):
		return "leave out the quotes"
	}
	return ""
}

func (d *decoder) string(path string, n *yaml.Node, v reflect.Value, f field, text string) bool {
	if len(text) > maxText {
		d.problems.at(n, "", "%s: the text has %d bytes; at most %d are allowed", d.label(path), len(text), maxText)
		return false
	}
	if f.enum != nil && !slices.Contains(f.enum, text) {
		hint := ""
		if word := closest(text, f.enum); word != "" {
			hint = didYouMean(word)
		}
		d.problems.at(n, hint, "%s: %s is not one of %s", d.label(path), quote(text), strings.Join(f.enum, ", "))
		return false
	}
	if form, ok := formOf(f.form); ok && !d.judge(path, n, form.check(text)) {
		return false
	}
	if f.form == "metadata_value" {
		// HTTP/2 allows no spaces around a value (RFC 9113, section 8.2.1);
		// an empty variable may well leave one.
		text = strings.TrimSpace(text)
	}
	v.SetString(text)
	return true
}

func (d *decoder) int(path string, n *yaml.Node, v reflect.Value, text string) bool {
	digits := strings.TrimPrefix(text, "-")
	if !isDigits(digits) || len(digits) > 1 && digits[0] == '0' {
		hint := ""
		if strings.ContainsAny(text, "0123456789") {
			hint = "write it in decimal digits"
		}
		d.problems.at(n, hint, "%s: %s is not a whole number", d.label(path), quote(text))
		return false
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		d.problems.at(n, "", "%s: %s is not a whole number", d.label(path), quote(text))
		return false
	}
	v.SetInt(number)
	return true
}

func (d *decoder) float(path string, n *yaml.Node, v reflect.Value, text string) bool {
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(number) || math.IsInf(number, 0) {
		d.problems.at(n, "", "%s: %s is not a number", d.label(path), quote(text))
		return false
	}
	v.SetFloat(number)
	return true
}
