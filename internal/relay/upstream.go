package relay

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"loom/internal/backend"
	"loom/internal/route"
)

// Policy is how the relay treats the calls of one backend.
type Policy struct {
	// Failures are the status codes that count against the backend and its
	// endpoint. Connections that are lost and breaches of the protocol always do.
	Failures []codes.Code
	// MinDeadline is how long the backend must have had, for a call that its
	// caller's deadline ends to count as a failure: a shorter one says more
	// about the caller.
	MinDeadline time.Duration
	// Authority is the :authority that the backend sees; empty: that of the
	// caller.
	Authority string
}

// DefaultPolicy is that of backends for which none is given.
func DefaultPolicy() Policy {
	return Policy{
		// What says something about the backend, and not about the request.
		Failures:    []codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.Unknown, codes.DataLoss},
		MinDeadline: time.Second,
	}
}

// upstream is a backend as the relay treats it.
type upstream struct {
	// Immutable.
	*backend.Backend
	breaker Breaker // nil: it has none
	policy  Policy
}

// branch is the way from a route to one of its backends.
type branch struct {
	upstream   *upstream
	rejections [breakerStates]rejection // what callers get while it is not called
}

// routing is a route at work.
type routing struct {
	// Immutable.
	branches  []branch   // as in the rule
	budget    *budget    // of retries; nil: there are none
	mirroring *mirroring // nil: there is none
}

// upstreams returns the backends of o by name.
func upstreams(o *Rules) map[string]*upstream {
	all := make(map[string]*upstream, len(o.Backends))
	for name, k := range o.Backends {
		p, given := o.Policies[name]
		if !given {
			p = DefaultPolicy()
		}
		all[name] = &upstream{Backend: k, breaker: o.Breakers[name], policy: p}
	}
	return all
}

// newRouting puts a route to work. before is that of the same name which it
// takes the place of: its bounds go on; nil if there is none.
func newRouting(rt *route.Route, all map[string]*upstream, before *routing) (*routing, error) {
	g := new(routing)
	if p := rt.Rule.Retry; p != nil {
		g.budget = newBudget(p.BudgetPercent)
		if before != nil && before.budget != nil {
			g.budget.spending = before.budget.spending
		}
	}
	for _, w := range rt.Rule.Backends {
		u := all[w.Name]
		if u == nil {
			return nil, fmt.Errorf("route %q: no backend %q", rt.Rule.Name, w.Name)
		}
		br := branch{upstream: u}
		if u.breaker != nil {
			br.rejections = prepareRejections(rt.Rule.Name, w.Name)
		}
		g.branches = append(g.branches, br)
	}
	if m := rt.Rule.Mirror; m != nil {
		u := all[m.Backend]
		if u == nil {
			return nil, fmt.Errorf("route %q: no backend %q to mirror to", rt.Rule.Name, m.Backend)
		}
		g.mirroring = &mirroring{upstream: u, percent: m.Percent, copies: new(copies)}
		if before != nil && before.mirroring != nil {
			g.mirroring.copies = before.mirroring.copies
		}
	}
	return g, nil
}

// counts reports whether a status is a failure of the backend.
func (u *upstream) counts(code codes.Code) bool { return slices.Contains(u.policy.Failures, code) }
