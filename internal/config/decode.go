package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxAliased bounds how many nodes are read through aliases: enough for
// hundreds of backends that share a block, and no work for a bomb.
const maxAliased = 100_000

// mark is where something of the file stands.
type mark struct {
	key   *yaml.Node // nil for an element of a list
	value *yaml.Node
	bad   bool // something in it is wrong, and reported
}

// decoder fills a Config from a tree of nodes. Every key and element that it
// meets gets a mark under its path, such as routes[0].match.service, so that
// the validator can say where a mistake is; a keyed list has indexes, too,
// because its keys may hold anything.
type decoder struct {
	problems *problems
	marks    map[string]mark
	shapes   shapes
	expander expander
	budget   int                 // nodes that may still be read; aliases make more of them
	active   map[*yaml.Node]bool // anchored nodes that are being read, to notice a circle
}

func newDecoder(p *problems, env func(string) (string, bool)) *decoder {
	return &decoder{
		problems: p,
		marks:    map[string]mark{},
		shapes:   shapes{},
		expander: expander{env: env},
		active:   map[*yaml.Node]bool{},
	}
}

// decode reads the whole tree into cfg.
func (d *decoder) decode(root *yaml.Node, cfg *Config) {
	v := reflect.ValueOf(cfg).Elem()
	setDefaults(v)
	d.marks[""] = mark{value: root}
	d.budget = 2*countNodes(root) + maxAliased
	d.value("", root, v, field{})
}

// countNodes returns the number of nodes of a tree, without what its aliases
// stand for.
func countNodes(n *yaml.Node) int {
	count := 1
	for _, child := range n.Content {
		count += countNodes(child)
	}
	return count
}

// spend takes n from the budget and reports whether it was there.
func (d *decoder) spend(n int, at *yaml.Node) bool {
	before := d.budget
	d.budget -= n
	if before >= 0 && d.budget < 0 {
		d.problems.at(at, "", "aliases make more than %d further values of the file", maxAliased)
	}
	return d.budget >= 0
}

// value reads one node into v and reports whether it was right. f is the key
// that the node belongs to, or for an element the key of its list.
func (d *decoder) value(path string, n *yaml.Node, v reflect.Value, f field) bool {
	if d.read(path, n, v, f) {
		return true
	}
	m := d.marks[path]
	m.bad = true
	d.marks[path] = m
	return false
}

func (d *decoder) read(path string, n *yaml.Node, v reflect.Value, f field) bool {
	if !d.spend(1, n) {
		return false
	}
	n, release := d.follow(n)
	if n == nil {
		return false
	}
	defer release()
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		d.problems.at(n, "leave it out", "the tag %s is not supported", quote(n.Tag))
		return false
	case isNull(n):
		d.problems.at(n, "give it one, or leave the key out", "%s has no value", d.label(path))
		return false
	}
	if v.Kind() == reflect.Pointer {
		target := reflect.New(v.Type().Elem())
		setDefaults(target.Elem())
		right := d.plain(path, n, target.Elem(), f)
		// A block with a mistake is there all the same, and may have others.
		if right || target.Elem().Kind() == reflect.Struct {
			v.Set(target)
		}
		return right
	}
	before := reflect.ValueOf(v.Interface())
	if !d.plain(path, n, v, f) {
		return false
	}
	if !d.judge(path, n, checkBounds(v, f)) {
		v.Set(before)
		return false
	}
	return true
}

// plain reads a node that is no alias into a value that is no pointer.
func (d *decoder) plain(path string, n *yaml.Node, v reflect.Value, f field) bool {
	if text, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		return d.text(path, n, text)
	}
	switch v.Kind() {
	case reflect.Struct:
		return d.block(path, n, v)
	case reflect.Slice:
		if f.keyed {
			return d.keyed(path, n, v, f)
		}
		return d.list(path, n, v, f)
	default:
		return d.scalar(path, n, v, f)
	}
}

// follow returns what an alias stands for, or n itself, and what to call once
// it has been read. It returns nil for an alias to what is being read.
func (d *decoder) follow(n *yaml.Node) (*yaml.Node, func()) {
	target := n
	switch {
	case n.Kind == yaml.AliasNode:
		target = n.Alias
	case n.Anchor == "":
		return n, func() {}
	}
	if d.active[target] {
		d.problems.at(n, "", "alias *%s contains itself", n.Value)
		return nil, nil
	}
	d.active[target] = true
	return target, func() { delete(d.active, target) }
}

// list reads a sequence.
func (d *decoder) list(path string, n *yaml.Node, v reflect.Value, f field) bool {
	if n.Kind != yaml.SequenceNode {
		hint := ""
		if n.Kind == yaml.ScalarNode {
			hint = "write [" + quote(n.Value) + "]"
		}
		d.problems.at(n, hint, "%s: want a list, found %s", d.label(path), describe(n))
		return false
	}
	if !d.spend(len(n.Content), n) {
		return false
	}
	right := true
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, element := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.marks[at] = mark{value: element}
		setDefaults(list.Index(i))
		if !d.value(at, element, list.Index(i), elementField(f)) {
			right = false
		}
	}
	v.Set(list)
	return d.length(path, n, len(n.Content), f) && right
}

// elementField is what holds for the elements of a list with the key f: the
// bounds of the list are not theirs.
func elementField(f field) field {
	return field{form: f.form, enum: f.enum, secret: f.secret}
}

// length checks the length of a list; the only bound in use is the least.
func (d *decoder) length(path string, n *yaml.Node, length int, f field) bool {
	if f.min == "" || length > 0 {
		return true
	}
	hint := "leave the key out"
	if f.required {
		hint = "give at least one"
	}
	d.problems.at(n, hint, "%s is empty", d.label(path))
	return false
}

// text reads a scalar whose type reads itself.
func (d *decoder) text(path string, n *yaml.Node, into encoding.TextUnmarshaler) bool {
	if n.Kind != yaml.ScalarNode {
		d.problems.at(n, "", "%s: want a single value, found %s", d.label(path), describe(n))
		return false
	}
	text, _, ok := d.expand(path, n)
	if !ok {
		return false
	}
	return d.judge(path, n, into.UnmarshalText([]byte(text)))
}

// expand puts the environment into the text of a scalar.
func (d *decoder) expand(path string, n *yaml.Node) (text string, expanded, ok bool) {
	text, expanded, err := d.expander.expand(n.Value)
	return text, expanded, d.judge(path, n, err)
}

// judge reports what a parser of a text found wrong, if anything.
func (d *decoder) judge(path string, n *yaml.Node, err error) bool {
	if err == nil {
		return true
	}
	msg, hint := err.Error(), ""
	if m, ok := errors.AsType[*mistake](err); ok {
		msg, hint = m.msg, m.hint
	}
	d.problems.at(n, hint, "%s: %s", d.label(path), msg)
	return false
}

// label is what people see of a path: its last step, as the file spells it.
func (d *decoder) label(path string) string {
	switch m := d.marks[path]; {
	case path == "":
		return "the file"
	case m.key != nil:
		return m.key.Value
	}
	return path[strings.LastIndexByte(path, '.')+1:]
}

// describe says what a node is, for an error about its kind.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!bool":
		return "the truth value " + n.Value
	case "!!timestamp":
		return "the date " + n.Value
	}
	return "the text " + quote(n.Value)
}
