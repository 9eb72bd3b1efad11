package reflectcache

import (
	"strings"
	"sync"
	"time"

	"loom/internal/decode"
)

// heirloom is a service as another process knew it. It is linked when somebody
// asks for it, because few of many are soon.
type heirloom struct {
	set      []byte // its files, as on the wire
	problems []string
	fetched  time.Duration // since the cache's start, and mostly before it
	due      time.Duration // likewise: when it is asked for again
}

// heirlooms are those that nobody has asked for. Restore bounds them.
type heirlooms struct {
	mu  sync.Mutex
	all map[string]map[string]heirloom // guarded by mu; by backend and service
}

func (h *heirlooms) put(backend, service string, one heirloom) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = make(map[string]map[string]heirloom)
	}
	if h.all[backend] == nil {
		h.all[backend] = make(map[string]heirloom)
	}
	h.all[backend][service] = one
}

// take returns an heirloom that there is from now on no more.
func (h *heirlooms) take(backend, service string) (heirloom, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one, ok := h.all[backend][service]
	delete(h.all[backend], service)
	return one, ok
}

func (h *heirlooms) has(backend, service string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.all[backend][service]
	return ok
}

// of returns those of a backend.
func (h *heirlooms) of(backend string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for name := range h.all[backend] {
		names = append(names, name)
	}
	return names
}

// each calls do for each of them, which must not call back.
func (h *heirlooms) each(do func(backend, service string, one heirloom)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for backend, some := range h.all {
		for service, one := range some {
			do(backend, service, one)
		}
	}
}

// age makes those of a backend stale at a time.
func (h *heirlooms) age(backend string, now time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for service, one := range h.all[backend] {
		one.due = min(one.due, now)
		h.all[backend][service] = one
	}
}

// unwrap links what another process knew of a service, and keeps it. It returns
// nil if there is nothing, or nothing of use.
func (c *Cache) unwrap(backend, service string, generation uint64) *entry {
	h, ok := c.heirlooms.take(backend, service)
	if !ok {
		return nil
	}
	set, err := parseSet(h.set)
	if err != nil {
		return nil
	}
	l := linkSet(set)
	if l.services[service] == nil {
		return nil
	}
	l.problems = limited(append(h.problems, l.problems...))
	e := c.newEntry(backend, strings.Clone(service), found{linked: l, source: decode.FromReflection}, generation)
	e.fetched = h.fetched
	e.dueAt.Store(int64(h.due))
	kept, _ := c.keep(e, nil)
	return kept
}

// unwrapSoon is unwrapAll, in the background.
func (c *Cache) unwrapSoon(backend string) {
	if len(c.heirlooms.of(backend)) == 0 {
		return
	}
	c.flight.DoChan(flightKey(backend, "all that was handed on", 0), func() (any, error) {
		if !c.begin() {
			return nil, ErrClosed
		}
		defer c.running.Done()
		c.unwrapAll(backend)
		return nil, nil
	})
}

// unwrapAll links all that another process knew of a backend. It waits for
// nobody, but takes a while.
func (c *Cache) unwrapAll(backend string) {
	for _, service := range c.heirlooms.of(backend) {
		if s := c.open(backend); s != nil {
			c.unwrap(backend, service, s.generation)
		}
	}
}
