package server

import (
	"time"

	"loom/internal/config"
	"loom/internal/route"
)

func compileRoutes(routes []config.Route) (*route.Table, error) {
	rules := make([]route.Rule, len(routes))
	for i := range routes {
		r := &routes[i]
		rules[i] = route.Rule{
			Name:     r.Name,
			Deny:     uint32(r.Deny),
			Request:  edit(&r.Metadata.Request),
			Response: edit(&r.Metadata.Response),
			Timeout:  timeout(r.Timeout),
			Retry:    retry(r.Retry),
			Mirror:   (*route.Mirror)(r.Mirror),

			ForwardedFor: r.ForwardedFor,
			Match: route.Match{
				Service:   r.Match.Service,
				Method:    r.Match.Method,
				Authority: r.Match.Authority,
				Identity:  r.Match.Identity,
				PathRegex: r.Match.PathRegex,
			},
		}
		for _, m := range r.Match.Metadata {
			rules[i].Match.Metadata = append(rules[i].Match.Metadata, route.MetadataMatch(m))
		}
		for _, w := range r.Split() {
			rules[i].Backends = append(rules[i].Backends, route.Weighted(w))
		}
	}
	return route.Compile(rules)
}

func timeout(t *config.Timeout) route.Timeout {
	if t == nil {
		return route.Timeout{}
	}
	return route.Timeout{Overall: time.Duration(t.Overall), PerTry: time.Duration(t.PerTry), Idle: time.Duration(t.Idle)}
}

func retry(c *config.Retry) *route.Retry {
	if c == nil {
		return nil
	}
	out := &route.Retry{
		Attempts:      c.MaxAttempts,
		Initial:       time.Duration(c.Backoff.Initial),
		Max:           time.Duration(c.Backoff.Max),
		BudgetPercent: c.BudgetPercent,
	}
	for _, code := range c.On {
		out.On = append(out.On, uint32(code))
	}
	return out
}

func edit(e *config.MetadataEdit) route.Edit {
	out := route.Edit{Remove: e.Remove}
	for _, f := range e.Set {
		out.Set = append(out.Set, route.Field(f))
	}
	for _, f := range e.Append {
		out.Append = append(out.Append, route.Field(f))
	}
	return out
}
