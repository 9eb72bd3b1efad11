package decode

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxChanges bounds a Diff. Two messages that differ in more places are not
// the same message, which is all that a reader wants to know then.
const maxChanges = 1000

// maxDiffDepth bounds the walk; what is below is compared whole.
const maxDiffDepth = 300

// Change is one difference between two JSON texts.
type Change struct {
	Path string          `json:"path"` // RFC 6901, such as /order/items/0/sku; empty for the whole
	Kind string          `json:"kind"` // added, removed or changed
	Old  json.RawMessage `json:"old,omitempty"`
	New  json.RawMessage `json:"new,omitempty"`
}

// Diff lists where b differs from a, in the order of a reader: members by
// name, elements by place; at most 1,000. A text that is no JSON counts as
// absent.
func Diff(a, b json.RawMessage) []Change {
	d := differ{}
	x, okX := parseJSON(a)
	y, okY := parseJSON(b)
	switch {
	case okX && okY:
		d.compare("", x, y, 0)
	case okX:
		d.add("", "removed", x, nil)
	case okY:
		d.add("", "added", nil, y)
	}
	return d.changes
}

func parseJSON(js []byte) (any, bool) {
	dec := json.NewDecoder(bytes.NewReader(js))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil, false
	}
	return v, true
}

// jsonOf writes text, a finite number or what was JSON before, which all
// encode.
func jsonOf(v any) json.RawMessage {
	js, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return js
}

type differ struct{ changes []Change }

func (d *differ) add(path, kind string, before, after any) {
	if len(d.changes) >= maxChanges {
		return
	}
	c := Change{Path: path, Kind: kind}
	if kind != "added" {
		c.Old = jsonOf(before)
	}
	if kind != "removed" {
		c.New = jsonOf(after)
	}
	d.changes = append(d.changes, c)
}

func (d *differ) compare(path string, a, b any, depth int) {
	if len(d.changes) >= maxChanges {
		return
	}
	if depth < maxDiffDepth {
		switch x := a.(type) {
		case map[string]any:
			if y, ok := b.(map[string]any); ok {
				d.objects(path, x, y, depth+1)
				return
			}
		case []any:
			if y, ok := b.([]any); ok {
				d.arrays(path, x, y, depth+1)
				return
			}
		}
	}
	if !bytes.Equal(jsonOf(a), jsonOf(b)) {
		d.add(path, "changed", a, b)
	}
}

func (d *differ) objects(path string, a, b map[string]any, depth int) {
	names := slices.Collect(maps.Keys(a))
	for k := range b {
		if _, ok := a[k]; !ok {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	for _, k := range names {
		x, inA := a[k]
		y, inB := b[k]
		at := path + "/" + pointerEscape(k)
		switch {
		case !inB:
			d.add(at, "removed", x, nil)
		case !inA:
			d.add(at, "added", nil, y)
		default:
			d.compare(at, x, y, depth)
		}
	}
}

func (d *differ) arrays(path string, a, b []any, depth int) {
	for i := range max(len(a), len(b)) {
		at := path + "/" + strconv.Itoa(i)
		switch {
		case len(d.changes) >= maxChanges:
			return
		case i >= len(b):
			d.add(at, "removed", a[i], nil)
		case i >= len(a):
			d.add(at, "added", nil, b[i])
		default:
			d.compare(at, a[i], b[i], depth)
		}
	}
}

// pointerEscape makes a step of a JSON pointer of a name.
func pointerEscape(name string) string {
	if !strings.ContainsAny(name, "~/") {
		return name
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
