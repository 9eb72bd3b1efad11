package config

import (
	"slices"
	"strings"
)

// unsupportedKeys is the one list of keys that are read and checked, but whose
// feature loomd does not have yet. A feature that arrives takes its line out,
// and nothing else here changes.
func unsupportedKeys() []string {
	return []string{
		"restart.ready_timeout",
		"restart.generations",
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
		if slices.Contains(keys, shape) {
			d.problems.at(m.key, "", "%s is not supported yet", m.key.Value)
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
