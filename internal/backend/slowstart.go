package backend

import (
	"math/rand/v2"
	"time"
)

// newFor is how long a backend counts as new, from its first endpoint on: the
// endpoints of a new backend all start at once, and the load is shared anyway.
// Names that are slow to resolve are a matter of seconds.
const newFor = 10 * time.Second

// coldest is the least part of its share that a fresh endpoint takes, so that
// it has something to begin with even where calls are few.
const coldest = 0.02

// warm notes when the endpoints of r that come into the rotation did so. Those
// of a new backend, and those that take over from others which are all gone,
// have to take all of the load at once. The lock is held.
func (k *Backend) warm(now time.Time, old, r *rotation) {
	if k.options().SlowStart == 0 || len(r.endpoints) == 0 {
		return
	}
	age := k.age(now)
	if len(old.endpoints) == 0 && k.newUntil == 0 {
		k.newUntil = age + newFor
	}
	stay := false
	for _, e := range r.endpoints {
		stay = stay || e.active.Load()
	}
	for _, e := range r.endpoints {
		if !e.active.Load() && !e.recalled {
			e.warmFrom.Store(0)
			if stay && age >= k.newUntil {
				e.warmFrom.Store(int64(age))
			}
		}
		e.recalled = false
		if from := time.Duration(e.warmFrom.Load()); from != 0 {
			r.warmUntil = max(r.warmUntil, from+k.options().SlowStart)
		}
	}
	if r.warmUntil <= age {
		r.warmUntil = 0
	}
}

// takesMore reports whether a fresh endpoint takes the call that was picked
// for it. How likely that is grows with the time that it is there.
func (e *Endpoint) takesMore(age time.Duration) bool {
	f := e.warmth(age)
	return f >= 1 || rand.Float64() < f
}

// takesKey is takesMore for a call with a key: keys move to a fresh endpoint
// one after the other, and each only once.
func (e *Endpoint) takesKey(age time.Duration, hash uint64) bool {
	f := e.warmth(age)
	return f >= 1 || float64(mix(^hash)) < f*(1<<64)
}

// warmth is the part of its share of the calls that the endpoint takes.
func (e *Endpoint) warmth(age time.Duration) float64 {
	from, all := time.Duration(e.warmFrom.Load()), e.backend.options().SlowStart
	if from == 0 || all == 0 {
		return 1
	}
	return max(coldest, float64(age-from)/float64(all))
}
