package relay

import (
	"slices"
	"sync/atomic"

	"loom/internal/backend"
	"loom/internal/route"
)

// Rules say how calls are carried. Routes and Backends are required.
type Rules struct {
	Routes   *route.Table
	Backends map[string]*backend.Backend // by name; all that Routes speaks of
	// Breakers guard backends, by their names. A backend without one is always
	// called, and costs nothing.
	Breakers map[string]Breaker
	// Policies say how backends are treated, by their names; those without get
	// [DefaultPolicy].
	Policies map[string]Policy
	// KeptRequest is how many bytes of a request are kept for a second try.
	KeptRequest int
}

// Tables are rules made ready to be put in force. They are replaced as a whole,
// and a call keeps those that were in force when it began to its end.
type Tables struct {
	// Immutable.
	rules  Rules
	routes []*routing // in the order of the rules
	relay  *Relay
	number uint64 // one more than those that they were made to replace

	_      line
	open   atomic.Int64 // calls, and for a moment those that come to others
	_      line
	copies atomic.Int64 // of calls
	over   atomic.Bool  // other ones have taken their place
}

// line keeps counters that all processors write out of the cache lines that
// they only read.
type line [64]byte

// Prepare makes rules ready. Routes go on with the retry budgets and the copies
// under way of those in force that have their names. It fails if a route speaks
// of a backend that is not there.
func (r *Relay) Prepare(rules Rules) (*Tables, error) {
	t := &Tables{rules: rules, relay: r}
	before := make(map[string]*routing)
	if now := r.tables.Load(); now != nil {
		t.number = now.number + 1
		for i, rt := range now.rules.Routes.Routes() {
			before[rt.Rule.Name] = now.routes[i]
		}
	}
	all := upstreams(&rules)
	for _, rt := range rules.Routes.Routes() {
		g, err := newRouting(rt, all, before[rt.Rule.Name])
		if err != nil {
			return nil, err
		}
		t.routes = append(t.routes, g)
	}
	return t, nil
}

// Use puts tables in force, those that Prepare made last, and returns those
// whose place they take.
func (r *Relay) Use(t *Tables) (before *Tables) {
	r.mu.Lock()
	before = r.tables.Swap(t)
	r.replaced = append(r.replaced, before)
	r.mu.Unlock()
	before.over.Store(true)
	before.settle()
	return before
}

// Tables returns those in force.
func (r *Relay) Tables() *Tables { return r.tables.Load() }

// quiet is who waits until no call, and no copy of one, has the tables of some
// numbers any more.
type quiet struct {
	first, last uint64
	done        chan struct{}
}

// Quiet returns what is closed once no call is open that began with tables from
// first to last, which others have replaced: what only they speak of is not
// needed any more.
func (r *Relay) Quiet(first, last *Tables) <-chan struct{} {
	q := quiet{first.number, last.number, make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(r.waiting, q)
	r.hushLocked()
	return q.done
}

// hushLocked tells who has waited for long enough.
func (r *Relay) hushLocked() {
	r.waiting = slices.DeleteFunc(r.waiting, func(q quiet) bool {
		loud := slices.ContainsFunc(r.replaced, func(t *Tables) bool { return q.first <= t.number && t.number <= q.last })
		if !loud {
			close(q.done)
		}
		return !loud
	})
}

// OpenCalls returns how many calls are open.
func (r *Relay) OpenCalls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.tables.Load().open.Load()
	for _, t := range r.replaced {
		n += t.open.Load()
	}
	return int(n)
}

// enter counts a call that begins, and returns the tables in force: they are
// not quiet before it leaves.
func (r *Relay) enter() *Tables {
	for {
		t := r.tables.Load()
		t.open.Add(1)
		if r.tables.Load() == t {
			return t
		}
		t.leave() // others took their place between the two
	}
}

func (t *Tables) leave() {
	if t.open.Add(-1) == 0 && t.over.Load() {
		t.settle()
	}
}

// dropCopy says that a copy of a call is over.
func (t *Tables) dropCopy() {
	if t.copies.Add(-1) == 0 && t.over.Load() {
		t.settle()
	}
}

// settle forgets the tables, which are over, if no call has them any more.
func (t *Tables) settle() {
	// A call leaves after its copy has begun, so that one of the two is seen.
	if t.open.Load() != 0 || t.copies.Load() != 0 {
		return
	}
	r := t.relay
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replaced = slices.DeleteFunc(r.replaced, func(other *Tables) bool { return other == t })
	r.hushLocked()
}
