package backend

import "time"

// rotation is the endpoints that calls go to, and how they are dealt out.
// Immutable; another one takes its place when an endpoint comes or goes, or
// is taken out or let in.
type rotation struct {
	endpoints []*Endpoint
	shares    shares
	ring      ring // empty unless the balance is RingHash
	// warmUntil is the age of the backend at which the last fresh endpoint
	// takes its full share; 0 if none is fresh.
	warmUntil time.Duration
	// panics is set when no endpoint is fit: then all that are not drained
	// are used, because one that may fail is better than none.
	panics bool
}

// rotate has calls go to those endpoints that are fit now. The lock is held.
func (k *Backend) rotate(now time.Time) {
	list := *k.list.Load()
	old := k.rotation.Load()
	r := new(rotation)
	for _, e := range list {
		if e.fit() {
			r.endpoints = append(r.endpoints, e)
		}
	}
	if len(r.endpoints) == 0 {
		for _, e := range list {
			if !e.drained {
				r.endpoints = append(r.endpoints, e)
			}
		}
		r.panics = len(r.endpoints) > 0
	}
	switch {
	case r.panics && !old.panics:
		k.note(Event{Kind: Panicked})
	case old.panics && !r.panics:
		k.note(Event{Kind: Calmed})
	}
	k.warm(now, old, r)
	r.shares = newShares(r.endpoints)
	if k.options().Balance == RingHash && len(r.endpoints) > 0 {
		r.ring = k.ring.without(list, r.endpoints)
	}
	k.rotation.Store(r)
	in := make(map[*Endpoint]bool, len(r.endpoints))
	for _, e := range r.endpoints {
		in[e] = true
		e.active.Store(true)
	}
	for _, e := range old.endpoints {
		if !in[e] {
			e.active.Store(false)
		}
	}
}
