package reflectcache

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// miss remembers for a short time that nothing is known of a service. Immutable.
type miss struct {
	backend  string
	service  string
	err      error
	problems []string      // files of the service that are of no use
	until    time.Duration // since the cache's start
}

// misses is a table of fixed size: callers choose the names, so it must not
// grow. Two names that share a place displace each other, which costs a fetch
// and nothing else. It needs no lock.
type misses struct {
	// Immutable.
	seed maphash.Seed

	places [maxMisses]atomic.Pointer[miss]
}

func (t *misses) place(backend, service string) *atomic.Pointer[miss] {
	hash := maphash.String(t.seed, backend)*31 + maphash.String(t.seed, service)
	return &t.places[hash%maxMisses]
}

// get returns what is remembered at the time now; nil: nothing.
func (t *misses) get(backend, service string, now time.Duration) *miss {
	m := t.place(backend, service).Load()
	if m == nil || m.service != service || m.backend != backend || now >= m.until {
		return nil
	}
	return m
}

func (t *misses) put(m *miss) { t.place(m.backend, m.service).Store(m) }

// forget drops a service; "" is all of the backend.
func (t *misses) forget(backend, service string) {
	for i := range t.places {
		m := t.places[i].Load()
		if m != nil && m.backend == backend && (service == "" || m.service == service) {
			t.places[i].CompareAndSwap(m, nil)
		}
	}
}

func (t *misses) problems(backend string) []string {
	var all []string
	for i := range t.places {
		if m := t.places[i].Load(); m != nil && m.backend == backend {
			all = append(all, m.problems...)
		}
	}
	return all
}
