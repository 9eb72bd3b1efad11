package route

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// maxCode is the highest gRPC status code, UNAUTHENTICATED.
const maxCode = 16

// Compile checks all rules and builds their table. The error joins the
// mistakes of all rules; each names its rule by place, counted from 1, and by
// name. The table shares nothing with rules.
func Compile(rules []Rule) (*Table, error) {
	routes := make([]*Route, len(rules))
	var errs []error
	for i, rule := range rules {
		r, err := compileRule(rule)
		if err != nil {
			errs = append(errs, fmt.Errorf("route %d (%q): %w", i+1, rule.Name, err))
			continue
		}
		r.Index = i
		routes[i] = r
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	t := &Table{routes: routes}
	// From the last to the first, so that each list begins with the lowest.
	for _, r := range slices.Backward(routes) {
		t.add(r)
	}
	// Indexes that know most go first: what they find spares the others,
	// where the expressions are, all rules that come later.
	slices.SortFunc(t.indexes, func(a, b index) int {
		return b.shape.exactness() - a.shape.exactness()
	})
	return t, nil
}

// add puts r in front of the rules with the same key.
func (t *Table) add(r *Route) {
	m := &r.Rule.Match
	s := shape{service: m.Service != "", method: m.Method != "", host: r.authority.exact}
	k := key{name: m.Service + m.Method} // one of them is empty, or else:
	if s.service && s.method {
		k.name = m.Service + "/" + m.Method
	}
	if s.host {
		k.host = r.authority.host
	}
	i := slices.IndexFunc(t.indexes, func(x index) bool { return x.shape == s })
	if i < 0 {
		i = len(t.indexes)
		t.indexes = append(t.indexes, index{shape: s, routes: make(map[key]*Route)})
	}
	r.next = t.indexes[i].routes[k]
	t.indexes[i].routes[k] = r
}

func (s shape) exactness() int {
	n := 0
	for _, named := range []bool{s.service, s.method, s.host} {
		if named {
			n++
		}
	}
	return n
}

func compileRule(rule Rule) (*Route, error) {
	r := &Route{Rule: rule}
	var errs [6]error
	errs[0] = r.compileMatch(rule.Match)
	errs[1] = r.compileTarget(rule)
	r.Rule.Request, errs[2] = compileEdit(rule.Request)
	r.Rule.Response, errs[3] = compileEdit(rule.Response)
	r.Rule.Retry, errs[4] = compileRetry(rule.Retry)
	r.Rule.Mirror, errs[5] = compileMirror(rule.Mirror)
	return r, errors.Join(errs[:]...)
}

func (r *Route) compileMatch(m Match) error {
	var errs []error
	if strings.Contains(m.Service, "/") {
		errs = append(errs, fmt.Errorf("service %q has a slash; write the method under method", m.Service))
	}
	if strings.Contains(m.Method, "/") {
		errs = append(errs, fmt.Errorf("method %q has a slash; write the service under service", m.Method))
	}
	var err error
	if r.authority, err = compileAuthority(m.Authority); err != nil {
		errs = append(errs, err)
	}
	if len(m.Identity) > maxIdentity {
		errs = append(errs, fmt.Errorf("identity has %d bytes; at most %d are allowed", len(m.Identity), maxIdentity))
	}
	r.identity = m.Identity
	if m.PathRegex != "" {
		if r.path, err = regexp.Compile(m.PathRegex); err != nil {
			errs = append(errs, fmt.Errorf("path_regex: %w", err))
		}
	}
	r.Rule.Match.Metadata = slices.Clone(m.Metadata)
	for i, condition := range m.Metadata {
		matcher, err := compileMetadata(condition)
		if err != nil {
			errs = append(errs, err)
		}
		r.metadata = append(r.metadata, matcher)
		r.Rule.Match.Metadata[i].Name = matcher.name
		r.Rule.Match.Metadata[i].Value = matcher.value
	}
	return errors.Join(errs...)
}

// compileTarget checks where the calls of a rule go.
func (r *Route) compileTarget(rule Rule) error {
	switch {
	case rule.Deny > maxCode:
		return fmt.Errorf("deny: %d is no gRPC status code; they go from 1 to %d", rule.Deny, maxCode)
	case rule.Deny != 0 && len(rule.Backends) > 0:
		return errors.New("a route either denies or has backends, not both")
	case rule.Deny != 0:
		return nil
	case len(rule.Backends) == 0:
		return errors.New("a route needs a backend or deny")
	}
	r.Rule.Backends = slices.Clone(rule.Backends)
	var sum uint64
	for _, b := range rule.Backends {
		if b.Weight < 0 || b.Weight > math.MaxInt32 {
			return fmt.Errorf("backend %s: the weight %d is not between 0 and %d", b.Name, b.Weight, math.MaxInt32)
		}
		sum += uint64(b.Weight)
		r.shares = append(r.shares, sum)
	}
	if sum == 0 {
		return errors.New("the weights of the backends sum to zero; give at least one a weight above 0")
	}
	return nil
}

// maxAttempts keeps the count of attempts a small number.
const maxAttempts = 100

func compileRetry(p *Retry) (*Retry, error) {
	if p == nil {
		return nil, nil
	}
	out := *p
	out.On = slices.Clone(p.On)
	switch {
	case p.Attempts < 2 || p.Attempts > maxAttempts:
		return nil, fmt.Errorf("retry: %d attempts are not between 2 and %d", p.Attempts, maxAttempts)
	case p.Initial <= 0 || p.Max < p.Initial:
		return nil, fmt.Errorf("retry: the waits from %v to %v are none", p.Initial, p.Max)
	case p.BudgetPercent < 0:
		return nil, fmt.Errorf("retry: a budget of %d percent is below 0", p.BudgetPercent)
	}
	for _, code := range p.On {
		if code == 0 || code > maxCode {
			return nil, fmt.Errorf("retry: %d is no gRPC status code of a failure; they go from 1 to %d", code, maxCode)
		}
	}
	return &out, nil
}

func compileMirror(m *Mirror) (*Mirror, error) {
	if m == nil {
		return nil, nil
	}
	if !(m.Percent >= 0 && m.Percent <= 100) {
		return nil, fmt.Errorf("mirror: %v percent are not between 0 and 100", m.Percent)
	}
	out := *m
	return &out, nil
}
