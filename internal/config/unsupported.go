package config

import (
	"slices"
	"strings"
)

// unsupported is a key that is read and checked, but whose feature loomd does
// not have yet. Without values, any use of the key is refused.
type unsupported struct {
	path   string
	values []string
}

// unsupportedKeys is the one list of them. A feature that arrives takes its
// line out, and nothing else here changes.
func unsupportedKeys() []unsupported {
	return []unsupported{
		{path: "restart.ready_timeout"},
		{path: "restart.generations"},
	}
}

// refuseUnsupported reports every unsupported key that the file uses.
func (d *decoder) refuseUnsupported() {
	keys := unsupportedKeys()
	for path, m := range d.marks {
		if m.key == nil {
			continue
		}
		shape := withoutIndexes(path)
		for _, u := range keys {
			switch {
			case u.path != shape:
			case u.values == nil:
				d.problems.at(m.key, "", "%s is not supported yet", m.key.Value)
			case slices.Contains(u.values, m.text):
				d.problems.at(m.value, "", "%s: %s is not supported yet", m.key.Value, m.text)
			}
		}
	}
}

// withoutIndexes turns routes[12].match into routes[].match.
func withoutIndexes(path string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(path, "[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("[]")
		_, path, _ = strings.Cut(rest, "]")
	}
}
