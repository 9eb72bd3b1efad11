package reflectcache

import (
	"strings"
	"sync"
	"time"
)

// desk takes the wishes of one backend's Lookups and fetches them one after
// another, so that a backend that hangs holds up only itself.
type desk struct {
	// Immutable.
	backend string
	slots   chan struct{} // fetches of this backend at once

	// Guarded by mu, which is held for a few steps only: Lookup takes it.
	mu      sync.Mutex
	wishes  map[string]*entry // by service, until fetched; nil value: not known before
	queue   []string          // wishes whose turn is still to come
	busy    bool              // a goroutine works here
	guesses int               // wishes for unlisted services since window
	window  time.Duration     // since the cache's start
}

func newDesk(backend string) *desk {
	return &desk{backend: backend, slots: make(chan struct{}, maxBackendFetches), wishes: map[string]*entry{}}
}

// take notes a wish. A sure one is for a service that the backend has said to
// have; others are names that a caller may have invented, and only so many are
// asked for in a period. It reports whether the wish is newly noted, whether the
// caller must start a goroutine for it, and whether there was no place for it.
func (d *desk) take(service string, e *entry, sure bool, now, period time.Duration) (noted, start, full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, have := d.wishes[service]; have {
		return false, false, false
	}
	if len(d.wishes) >= maxWishes {
		return false, false, true
	}
	if !sure {
		if now-d.window >= period {
			d.window, d.guesses = now, 0
		}
		if d.guesses >= maxGuesses {
			return false, false, true
		}
		d.guesses++
	}
	service = strings.Clone(service) // of a path, which may be long
	d.wishes[service] = e
	d.queue = append(d.queue, service)
	start, d.busy = !d.busy, true
	return true, start, false
}

// next returns the wish to fetch now: the first that prefer likes, or else the
// first. ok is false when there is none; the goroutine must end then.
func (d *desk) next(prefer func(service string) bool) (service string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		d.busy = false
		return "", false
	}
	at := 0
	for i, name := range d.queue {
		if prefer(name) {
			at = i
			break
		}
	}
	service = d.queue[at]
	d.queue = append(d.queue[:at], d.queue[at+1:]...)
	return service, true
}

// done forgets a wish that was fetched.
func (d *desk) done(service string) {
	d.mu.Lock()
	e := d.wishes[service]
	delete(d.wishes, service)
	d.mu.Unlock()
	if e != nil {
		e.fetching.Store(false)
	}
}

// clear forgets all wishes; for the end.
func (d *desk) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.wishes)
	d.queue, d.busy = nil, false
}

// renew begins a background fetch of a service that is known and due.
func (c *Cache) renew(s *shelf, e *entry) {
	if c.due(e) && e.fetching.CompareAndSwap(false, true) && !c.wish(s.desk, e.service, e, true) {
		e.fetching.Store(false)
	}
}

// wish notes that a service is wanted and sees to it that somebody works on it.
func (c *Cache) wish(d *desk, service string, e *entry, sure bool) bool {
	noted, start, full := d.take(service, e, sure, c.now(), c.opt.NegativeTTL)
	if full {
		c.unasked.Add(1)
	}
	if start {
		if !c.begin() {
			d.clear()
			return false
		}
		go c.work(d)
	}
	return noted
}

// work fetches the wishes of a desk until there are none.
func (c *Cache) work(d *desk) {
	defer c.running.Done()
	for {
		service, ok := d.next(func(name string) bool { return c.lists(d.backend, name) })
		if !ok {
			return
		}
		r := <-c.fetch(d, service)
		d.done(service)
		if c.ctx.Err() != nil {
			d.clear()
			return
		}
		// Once a name was wrong, the backend says which ones are right: those
		// go first from now on.
		if r.Err != nil && c.unlisted(d.backend) {
			<-c.fetchList(d)
		}
	}
}

// begin counts a goroutine of the cache in. It reports false after Close.
func (c *Cache) begin() bool {
	c.life.Lock()
	defer c.life.Unlock()
	if c.closed {
		return false
	}
	c.running.Add(1)
	return true
}
