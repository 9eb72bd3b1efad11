package reflectcache

import (
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"loom/internal/decode"
)

// never is the due time of what is not fetched again.
const never = time.Duration(math.MaxInt64)

// view is one state of the whole cache, by backend. It is replaced, never
// changed.
type view map[string]*shelf

// shelf is what is known of one backend. It is replaced, never changed, but for
// its desk. What is not known is not here: names come from callers.
type shelf struct {
	entries map[string]*entry // by service
	methods map[string]slot   // by path, of all entries
	desk    *desk             // the same in all states of the backend

	generation   uint64        // counts Drops: a fetch from before one is stale at once
	refused      error         // why the backend's reflection is not asked until refusedUntil
	refusedUntil time.Duration // since the cache's start
	listed       []string      // answer to ListServices, sorted
	listErr      error         // why there is none
	listedUntil  time.Duration
}

// slot is a method with the entry that it belongs to.
type slot struct {
	method *decode.Method
	entry  *entry
}

// entry is what is known of one service of one backend.
type entry struct {
	// Immutable.
	backend    string
	service    string
	desc       protoreflect.ServiceDescriptor
	methods    map[string]*decode.Method // by path
	linked     *linked
	source     decode.Source
	fetched    time.Duration // since the cache's start
	generation uint64        // of the shelf when its fetch began
	cost       int           // share of maxMemory
	pinned     bool          // given by AddFileSet: stays as it is

	dueAt    atomic.Int64 // time.Duration since the cache's start; 0: at once
	fetching atomic.Bool  // a background fetch runs or waits for its turn
}

// inherit takes the descriptors of an older entry if they are the same, so that
// what others have derived from them stays good.
func (e *entry) inherit(old *entry) {
	if old != nil && old.source == e.source && old.linked.hash == e.linked.hash && slices.Equal(old.linked.problems, e.linked.problems) {
		e.linked, e.desc, e.methods = old.linked, old.desc, old.methods
	}
}

func (s *shelf) clone() *shelf {
	next := *s
	next.entries = maps.Clone(s.entries)
	next.methods = maps.Clone(s.methods)
	return &next
}

// put replaces what the shelf knows of e's service. Only on a clone that is not
// published yet.
func (s *shelf) put(e *entry) {
	s.remove(e.service)
	s.entries[e.service] = e
	for path, m := range e.methods {
		s.methods[path] = slot{method: m, entry: e}
	}
}

func (s *shelf) remove(service string) {
	old := s.entries[service]
	if old == nil {
		return
	}
	for path := range old.methods {
		delete(s.methods, path)
	}
	delete(s.entries, service)
}

// oldest returns the entry fetched longest ago that may go; nil: none may.
func (s *shelf) oldest(keep *entry) *entry {
	var oldest *entry
	for _, e := range s.entries {
		if e != keep && !e.pinned && (oldest == nil || e.fetched < oldest.fetched) {
			oldest = e
		}
	}
	return oldest
}

func (c *Cache) now() time.Duration { return time.Since(c.start) }

func (c *Cache) due(e *entry) bool { return !e.fetching.Load() && int64(c.now()) >= e.dueAt.Load() }

// shelf returns what is known of a backend; nil: it was never asked for.
func (c *Cache) shelf(backend string) *shelf { return (*c.view.Load())[backend] }

// open returns the backend's shelf and makes it if need be; nil: there are too
// many.
func (c *Cache) open(backend string) *shelf {
	if s := c.shelf(backend); s != nil {
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.shelf(backend); s != nil {
		return s
	}
	if len(*c.view.Load()) >= maxBackends {
		return nil
	}
	s := &shelf{entries: map[string]*entry{}, methods: map[string]slot{}, desk: newDesk(backend)}
	c.publish(backend, s)
	return s
}

// publish replaces a backend's shelf. Caller holds c.mu.
func (c *Cache) publish(backend string, s *shelf) {
	next := maps.Clone(*c.view.Load())
	next[backend] = s
	c.view.Store(&next)
}

// lists reports whether the backend said that it has the service, also to
// another process.
func (c *Cache) lists(backend, service string) bool {
	s := c.shelf(backend)
	if s == nil {
		return false
	}
	if s.entries[service] != nil || c.heirlooms.has(backend, service) {
		return true
	}
	_, found := slices.BinarySearch(s.listed, service)
	return found
}

// unlisted reports whether it is time to ask which services a backend has.
func (c *Cache) unlisted(backend string) bool {
	s := c.shelf(backend)
	return s != nil && c.now() >= s.listedUntil && c.now() >= s.refusedUntil
}

// shrink forgets the entries fetched longest ago until the descriptors fit
// into memory; keep stays. Caller holds c.mu.
func (c *Cache) shrink(keep *entry) {
	for c.bytes > maxMemory {
		var oldest *entry
		for _, s := range *c.view.Load() {
			if e := s.oldest(keep); e != nil && (oldest == nil || e.fetched < oldest.fetched) {
				oldest = e
			}
		}
		if oldest == nil {
			return
		}
		next := c.shelf(oldest.backend).clone()
		next.remove(oldest.service)
		c.bytes -= oldest.cost
		c.forgotten.Add(1)
		c.publish(oldest.backend, next)
	}
}
