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

// shelf is what is known of one backend. It is replaced, never changed.
type shelf struct {
	entries map[string]*entry // by service
	methods map[string]slot   // by path, of all entries

	generation   uint64        // counts Drops: a fetch from before one is stale at once
	refused      error         // why the backend's reflection is not asked until refusedUntil
	refusedUntil time.Duration // since the cache's start
	listed       []string      // answer to ListServices
	listedUntil  time.Duration
}

// slot is a method with the entry that it belongs to.
type slot struct {
	method *decode.Method
	entry  *entry
}

// entry is what is known of one service of one backend, or that nothing is.
type entry struct {
	// Immutable.
	backend  string
	service  string
	desc     protoreflect.ServiceDescriptor // nil: unknown
	methods  map[string]*decode.Method      // by path
	linked   *linked                        // nil: unknown
	source   decode.Source
	err      error // why it is unknown; nil while it is first fetched
	problems []string
	fetched  time.Duration // since the cache's start
	pinned   bool          // given by AddFileSet: stays as it is

	dueAt    atomic.Int64 // time.Duration since the cache's start; 0: at once
	fetching atomic.Bool  // a background fetch runs or waits for its turn
}

func (s *shelf) clone() *shelf {
	if s == nil {
		return &shelf{entries: map[string]*entry{}, methods: map[string]slot{}}
	}
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

func (s *shelf) problems() []string {
	var all []string
	for _, e := range s.entries {
		all = append(all, e.problems...)
	}
	if s.refused != nil {
		all = append(all, s.refused.Error())
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > maxProblems {
		all = all[:maxProblems]
	}
	return all
}

// bytes is how much of the memory limit an entry takes.
func (e *entry) bytes() int {
	if e == nil || e.linked == nil {
		return 0
	}
	return e.linked.bytes
}

func (c *Cache) now() time.Duration { return time.Since(c.start) }

func (c *Cache) due(e *entry) bool { return !e.fetching.Load() && int64(c.now()) >= e.dueAt.Load() }

// entry returns what is known of a service; nil: it was never asked for.
func (c *Cache) entry(backend, service string) *entry {
	if s := (*c.view.Load())[backend]; s != nil {
		return s.entries[service]
	}
	return nil
}

// publish replaces a backend's shelf. Caller holds c.mu.
func (c *Cache) publish(backend string, s *shelf) {
	next := maps.Clone(*c.view.Load())
	if next == nil {
		next = view{}
	}
	next[backend] = s
	c.view.Store(&next)
}

// room makes place on a shelf for one more service: one that is unknown and
// may be asked for again is forgotten. It reports whether there is place.
// Caller holds c.mu; s is not published yet.
func (c *Cache) room(s *shelf, service string) bool {
	if s.entries[service] != nil || len(s.entries) < maxServices {
		return true
	}
	for name, e := range s.entries {
		if e.desc == nil && c.due(e) {
			s.remove(name)
		}
	}
	return len(s.entries) < maxServices
}

// admits reports whether there may be a shelf for the backend. Caller holds
// c.mu.
func (c *Cache) admits(backend string) bool {
	v := *c.view.Load()
	return v[backend] != nil || len(v) < maxBackends
}

// shrink forgets the entries fetched longest ago until the descriptors fit
// into memory; keep stays. Caller holds c.mu.
func (c *Cache) shrink(keep *entry) {
	for c.bytes > maxMemory {
		var oldest *entry
		for _, s := range *c.view.Load() {
			for _, e := range s.entries {
				if e != keep && e.bytes() > 0 && (oldest == nil || e.fetched < oldest.fetched) {
					oldest = e
				}
			}
		}
		if oldest == nil {
			return
		}
		next := (*c.view.Load())[oldest.backend].clone()
		next.remove(oldest.service)
		c.bytes -= oldest.bytes()
		c.publish(oldest.backend, next)
	}
}
