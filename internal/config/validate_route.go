package config

import (
	"fmt"
	"strings"
)

func (v *validator) routes() {
	names := map[string]string{}
	known := map[string]bool{}
	var list []string
	for _, b := range v.cfg.Backends {
		known[b.Name] = true
		list = append(list, b.Name)
	}
	refer := func(path, name string) {
		if name != "" && len(list) > 0 && !known[name] {
			v.source.wrong(path, v.source.suggest(name, list), "there is no backend "+quote(name))
		}
	}
	catchAll := -1
	for i := range v.cfg.Routes {
		r := &v.cfg.Routes[i]
		path := fmt.Sprintf("routes[%d]", i)
		v.unique(path+".name", r.Name, names, "there is another route named "+r.Name)
		v.destination(path, r)
		refer(path+".backend", r.Backend)
		for j, w := range r.Backends {
			refer(fmt.Sprintf("%s.backends[%d].name", path, j), w.Name)
		}
		if r.Mirror != nil {
			refer(path+".mirror.backend", r.Mirror.Backend)
		}
		v.match(path+".match", &r.Match)
		if r.Match.Identity != "" && !v.asksClients() {
			v.source.doubt(path+".match.identity", "give a listener tls with client_auth", "no listener asks clients for a certificate, so that nobody matches")
		}
		v.times(path, r)
		v.edit(path+".metadata.request", &r.Metadata.Request)
		v.edit(path+".metadata.response", &r.Metadata.Response)
		if catchAll >= 0 {
			first := fmt.Sprintf("routes[%d]", catchAll)
			v.source.doubt(path+".name", "see "+v.source.where(first), fmt.Sprintf("no call ever gets to route %s: route %s before it matches every call", r.Name, v.cfg.Routes[catchAll].Name))
		} else if v.matchesAll(path, r) {
			catchAll = i
		}
	}
}

// matchesAll reports whether a route has no conditions. One whose conditions
// could not be read has some.
func (v *validator) matchesAll(path string, r *Route) bool {
	m := &r.Match
	for _, key := range []string{"service", "method", "authority", "identity", "metadata", "path_regex"} {
		if v.source.given(path + ".match." + key) {
			return false
		}
	}
	return m.Service == "" && m.Method == "" && m.Authority == "" && m.Identity == "" && m.PathRegex == "" && len(m.Metadata) == 0
}

// destination wants exactly one of backend, backends and deny.
func (v *validator) destination(path string, r *Route) {
	var given []string
	for _, key := range []string{"backend", "backends", "deny"} {
		if v.source.given(path + "." + key) {
			given = append(given, key)
		}
	}
	if len(given) == 0 {
		v.source.wrong(path, "give it backend, backends or deny", "the route leads nowhere")
		return
	}
	if len(given) > 1 {
		v.wrong(path+"."+given[1], "a route has only one of %s", strings.Join(given, " and "))
	}
	v.weights(path+".backends", r.Backends)
}

func (v *validator) weights(path string, backends []WeightedBackend) {
	sum := 0
	names := map[string]string{}
	for i, w := range backends {
		sum += w.Weight
		at := fmt.Sprintf("%s[%d].name", path, i)
		v.unique(at, w.Name, names, "backend "+w.Name+" has a share of this route already")
	}
	if len(backends) > 0 && sum == 0 && v.source.right(path) {
		v.wrong(path, "the weights come to zero, so no backend gets a call")
	}
}

func (v *validator) match(path string, m *Match) {
	for i := range m.Metadata {
		at := fmt.Sprintf("%s.metadata[%d]", path, i)
		var given []string
		for _, key := range []string{"value", "regex", "present"} {
			if v.source.given(at + "." + key) {
				given = append(given, key)
			}
		}
		c := &m.Metadata[i]
		switch {
		case len(given) == 0:
			v.source.wrong(at, "present: true takes any value", "the condition needs value, regex or present")
		case len(given) > 1:
			v.wrong(at+"."+given[1], "a condition has only one of %s", strings.Join(given, " and "))
		case !c.Present && v.source.right(at+".present"):
			v.wrong(at+".present", "present can only be true")
		case c.Value != nil && isBinary(c.Name):
			if err := checkBinary(*c.Value); err != nil {
				v.wrong(at+".value", "value: %v", err)
			}
		}
	}
}

func (v *validator) times(path string, r *Route) {
	if t := r.Timeout; t != nil && t.Overall > 0 && t.PerTry > t.Overall {
		v.wrong(path+".timeout.per_try", "per_try is %s, more than overall, %s", t.PerTry, t.Overall)
	}
	if r.Retry != nil && r.Retry.Backoff.Initial > r.Retry.Backoff.Max {
		v.wrong(path+".retry.backoff.initial", "initial is %s, more than max, %s", r.Retry.Backoff.Initial, r.Retry.Backoff.Max)
	}
}

func (v *validator) edit(path string, e *MetadataEdit) {
	v.binaries(path+".set", e.Set)
	v.binaries(path+".append", e.Append)
	set := map[string]bool{}
	for _, f := range e.Set {
		set[f.Name] = true
	}
	for i, name := range e.Remove {
		if set[name] {
			v.source.doubt(fmt.Sprintf("%s.remove[%d]", path, i), "", name+" is set as well, which takes the place of all values anyway")
		}
	}
}
