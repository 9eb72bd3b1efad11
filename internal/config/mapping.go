package config

import (
	"fmt"
	"reflect"

	"gopkg.in/yaml.v3"
)

// pair is a key of a mapping and its value.
type pair struct{ key, value *yaml.Node }

// block reads a mapping into a struct.
func (d *decoder) block(path string, n *yaml.Node, v reflect.Value) bool {
	fields := d.shapes.of(v.Type())
	if short, ok := shortField(fields); ok && n.Kind == yaml.ScalarNode {
		d.marks[join(path, short.key)] = mark{value: n}
		return d.value(path, n, v.Field(short.index), short)
	}
	if n.Kind != yaml.MappingNode || shortOnly(fields) {
		want := "a mapping"
		if shortOnly(fields) {
			want = "text"
		}
		d.problems.at(n, "", "%s: want %s, found %s", d.label(path), want, describe(n))
		return false
	}
	given := map[string]bool{}
	right := true
	for _, p := range d.pairs(n) {
		f, known := findField(fields, p.key.Value)
		if !known {
			d.unknownKey(p.key, fields)
			right = false
			continue
		}
		given[f.key] = true
		at := join(path, f.key)
		d.marks[at] = mark{key: p.key, value: p.value}
		if !d.value(at, p.value, v.Field(f.index), f) {
			right = false
		}
	}
	for _, f := range fields {
		if f.required && !given[f.key] {
			d.problems.at(n, "", "the key %s is missing here", f.key)
			right = false
		}
	}
	return right
}

func findField(fields []field, key string) (field, bool) {
	for _, f := range fields {
		if f.key == key && key != "" {
			return f, true
		}
	}
	return field{}, false
}

func (d *decoder) unknownKey(key *yaml.Node, fields []field) {
	var known []string
	for _, f := range fields {
		if f.key != "" {
			known = append(known, f.key)
		}
	}
	d.problems.at(key, d.problems.suggest(key.Value, known), "unknown key %s", quote(key.Value))
}

// keyed reads a mapping into a list of structs that each hold their key.
func (d *decoder) keyed(path string, n *yaml.Node, v reflect.Value, f field) bool {
	if n.Kind != yaml.MappingNode {
		d.problems.at(n, "", "%s: want a mapping, found %s", d.label(path), describe(n))
		return false
	}
	pairs := d.pairs(n)
	name := keyField(d.shapes.of(v.Type().Elem()))
	right := true
	list := reflect.MakeSlice(v.Type(), len(pairs), len(pairs))
	for i, p := range pairs {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.marks[at] = mark{key: p.key, value: p.value}
		element := list.Index(i)
		setDefaults(element)
		element.Field(name.index).SetString(p.key.Value)
		if form, ok := formOf(name.form); ok && !d.judge(path, p.key, form.check(p.key.Value)) {
			right = false
		}
		if !d.value(at, p.value, element, elementField(f)) {
			right = false
		}
	}
	v.Set(list)
	return d.length(path, n, len(pairs), f) && right
}

// pairs returns the keys of a mapping, in the order of the file, followed by
// those that merge keys bring and that the mapping does not give itself.
// Repeated keys are reported; the first counts.
func (d *decoder) pairs(n *yaml.Node) []pair {
	if !d.spend(1+len(n.Content)/2, n) {
		return nil
	}
	var out []pair
	var merges []*yaml.Node
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		switch {
		case key.Kind != yaml.ScalarNode:
			d.problems.at(n.Content[i], "", "want a text as key, found %s", describe(key))
		case key.Tag == "!!merge":
			merges = append(merges, value)
		case lines[key.Value] != 0:
			d.problems.at(n.Content[i], fmt.Sprintf("first given on line %d", lines[key.Value]), "the key %s is repeated", quote(key.Value))
		default:
			lines[key.Value] = key.Line
			out = append(out, pair{key, value})
		}
	}
	for _, value := range merges {
		for _, p := range d.merged(value, true) {
			if lines[p.key.Value] == 0 {
				lines[p.key.Value] = p.key.Line
				out = append(out, p)
			}
		}
	}
	return out
}

// merged returns the keys that the value of a merge key brings: those of a
// mapping, or of a list of mappings where earlier ones win.
func (d *decoder) merged(n *yaml.Node, listAllowed bool) []pair {
	source := n
	n, release := d.follow(n)
	if n == nil {
		return nil
	}
	defer release()
	switch {
	case n.Kind == yaml.MappingNode:
		return d.pairs(n)
	case n.Kind == yaml.SequenceNode && listAllowed:
		var out []pair
		for _, element := range n.Content {
			out = append(out, d.merged(element, false)...)
		}
		return out
	}
	d.problems.at(source, "write <<: *name", "<< wants a mapping or a list of mappings, found %s", describe(n))
	return nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
