package config

import (
	"reflect"
	"strings"
)

// Show returns the settings in force, defaults included, one path and value a
// line. Listeners, backends and routes are told apart by name. Secrets are left
// out.
func Show(cfg *Config) string {
	var b strings.Builder
	s := shapes{}
	for i := range cfg.Listeners {
		s.show(&b, "listeners."+cfg.Listeners[i].Name+".", reflect.ValueOf(cfg.Listeners[i]))
	}
	for i := range cfg.Backends {
		s.show(&b, "backends."+cfg.Backends[i].Name+".", reflect.ValueOf(cfg.Backends[i]))
	}
	for i := range cfg.Routes {
		s.show(&b, "routes."+cfg.Routes[i].Name+".", reflect.ValueOf(cfg.Routes[i]))
	}
	s.show(&b, "", settings(cfg))
	return b.String()
}

// show writes the settings of a block that are given, or have a default.
func (s shapes) show(b *strings.Builder, prefix string, block reflect.Value) {
	for _, l := range s.flatten(block) {
		switch {
		case l.text == "" || l.path == "name":
			continue
		case l.secret:
			l.text = "(secret)"
		}
		b.WriteString(prefix + l.path + ": " + l.text + "\n")
	}
}
