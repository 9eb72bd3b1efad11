package reflectcache

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"loom/internal/decode"
)

// FileSet returns the files of services that are known now; no names: of all.
func (c *Cache) FileSet(backend string, services ...string) (*descriptorpb.FileDescriptorSet, error) {
	c.unwrapAll(backend)
	s := c.shelf(backend)
	if s == nil {
		return nil, fmt.Errorf("no descriptors of backend %s are known", backend)
	}
	if len(services) == 0 {
		services = slices.Sorted(maps.Keys(s.entries))
	}
	set := &descriptorpb.FileDescriptorSet{}
	have := map[string]bool{}
	for _, name := range services {
		e := s.entries[name]
		if e == nil {
			return nil, fmt.Errorf("service %s of backend %s is not known", name, backend)
		}
		for _, f := range e.linked.set.GetFile() {
			if !have[f.GetName()] {
				have[f.GetName()] = true
				set.File = append(set.File, proto.CloneOf(f))
			}
		}
	}
	return set, nil
}

// AddFileSet makes the services of a saved set known. They are never fetched
// and never forgotten.
func (c *Cache) AddFileSet(backend string, set *descriptorpb.FileDescriptorSet, src decode.Source) error {
	l := linkSet(proto.CloneOf(set))
	if len(l.services) == 0 {
		if len(l.problems) == 0 {
			return nil
		}
		return fmt.Errorf("linking the descriptors of backend %s: %s", backend, strings.Join(l.problems, "; "))
	}
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	if c.open(backend) == nil {
		return errTooManyBackends
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next, bytes := c.shelf(backend).clone(), c.bytes
	for name := range l.services {
		e := c.newEntry(backend, name, found{linked: l, source: src}, next.generation)
		e.pinned = true
		e.cost = len(l.data)/len(l.services) + 1 // they share the set
		e.dueAt.Store(int64(never))
		if old := next.entries[name]; old != nil {
			bytes -= old.cost
		}
		bytes += e.cost
		next.put(e)
	}
	if bytes > maxMemory || len(next.entries) > maxServices {
		return fmt.Errorf("keeping the descriptors of backend %s: over %d bytes or %d services", backend, maxMemory, maxServices)
	}
	c.bytes = bytes
	c.publish(backend, next)
	return nil
}
