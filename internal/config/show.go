package config

import (
	"reflect"
	"strings"
)

// Show returns the settings in force, defaults included, one path and value a
// line. Secrets are left out.
func Show(cfg *Config) string {
	var b strings.Builder
	for _, l := range make(shapes).flatten(reflect.ValueOf(cfg).Elem()) {
		switch {
		case l.text == "":
			continue
		case l.secret:
			l.text = "(secret)"
		}
		b.WriteString(l.path + ": " + l.text + "\n")
	}
	return b.String()
}
