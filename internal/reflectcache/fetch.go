package reflectcache

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/singleflight"
	"google.golang.org/protobuf/reflect/protoreflect"

	"loom/internal/decode"
)

// await joins a fetch and waits for it, or until ctx ends. The fetch itself
// goes on.
func (c *Cache) await(ctx context.Context, what string, join func() <-chan singleflight.Result) (any, error) {
	if c.waiting.Add(1) > maxWaiting {
		c.waiting.Add(-1)
		c.busy.Add(1)
		return nil, ErrBusy
	}
	if !c.begin() {
		c.waiting.Add(-1)
		return nil, ErrClosed
	}
	result := join()
	leave := func() { c.waiting.Add(-1); c.running.Done() }
	select {
	case r := <-result:
		leave()
		return r.Val, r.Err
	case <-ctx.Done():
		// The fetch still holds the channel, so it counts until then.
		go func() { defer leave(); <-result }()
		return nil, fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
	}
}

// fetch begins the fetch of a service, or joins the one that runs. Who asks
// after a Drop does not join a fetch from the old endpoints.
func (c *Cache) fetch(d *desk, service string) <-chan singleflight.Result {
	generation := c.shelf(d.backend).generation
	return c.flight.DoChan(flightKey(d.backend, service, generation), func() (any, error) {
		return c.turn(d, func() (any, error) { return c.climb(d, service, generation) })
	})
}

// flightKey names a fetch; service "" is the list of services.
func flightKey(backend, service string, generation uint64) string {
	return fmt.Sprint(backend, "\x00", service, "\x00", generation)
}

// turn runs a fetch when there is a slot for it.
func (c *Cache) turn(d *desk, run func() (any, error)) (any, error) {
	if !c.begin() {
		return nil, ErrClosed
	}
	defer c.running.Done()
	// Its own backend's first: who waits there holds nothing that others need.
	if !c.occupy(d.slots) {
		return nil, ErrClosed
	}
	defer func() { <-d.slots }()
	if !c.occupy(c.slots) {
		return nil, ErrClosed
	}
	defer func() { <-c.slots }()
	c.fetches.Add(1)
	return run()
}

// occupy waits for a slot. It reports false if the cache is closed first.
func (c *Cache) occupy(slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// found is the outcome of one fetch of a service.
type found struct {
	linked   *linked // nil: nothing knows the service
	source   decode.Source
	err      error    // why nothing does
	problems []string // files of the service that are of no use
	refused  error    // reflection as a whole does not work
}

// climb goes down the ladder for one service and stores the outcome.
func (c *Cache) climb(d *desk, service string, generation uint64) (any, error) {
	s := c.shelf(d.backend)
	if old := s.entries[service]; old != nil && old.pinned {
		return old, nil
	} else if old == nil {
		if e := c.unwrap(d.backend, service, generation); e != nil {
			return e, nil
		}
	}
	var refused error
	if c.now() < s.refusedUntil {
		refused = s.refused
	}
	f := c.ladder(s.entries[service], d.backend, service, refused)
	if c.ctx.Err() != nil {
		return nil, ErrClosed
	}
	if f.linked == nil {
		return c.keepMiss(d.backend, service, f, generation)
	}
	e := c.newEntry(d.backend, service, f, generation)
	e.inherit(s.entries[service])
	before := c.yesterday(e)
	if c.disk != nil && e.source == decode.FromReflection {
		c.disk.store(d.backend, service, e.linked)
	}
	kept, replaced := c.keep(e, f.refused)
	if replaced != nil {
		before = replaced
	}
	if kept == e {
		c.record(before, e)
	}
	return kept, nil
}

// ladder asks reflection, then the configured files, then the disk. What old
// has from the disk is not read again.
func (c *Cache) ladder(old *entry, backend, service string, refused error) found {
	ctx, cancel := context.WithTimeout(c.ctx, c.opt.Timeout)
	defer cancel()
	f := found{err: refused}
	if refused == nil {
		f = c.reflect(ctx, backend, service)
		if f.linked != nil {
			return f
		}
	}
	l, problems := c.files.find(c.ctx, backend, service)
	if l != nil {
		return found{linked: l, source: decode.FromFiles, refused: f.refused}
	}
	if c.disk != nil {
		if old != nil && old.source == decode.FromDisk && old.linked.hash == c.disk.hash(backend, service) {
			return found{linked: old.linked, source: decode.FromDisk, refused: f.refused}
		}
		if l := c.disk.load(backend, service); l != nil && l.services[service] != nil {
			return found{linked: l, source: decode.FromDisk, refused: f.refused}
		}
	}
	for _, p := range problems {
		f.err = fmt.Errorf("%w; %s", f.err, p)
	}
	return f
}

// yesterday returns what the disk has of a service that reflection told anew,
// so that a change between two runs of loom is seen; nil: nothing else.
func (c *Cache) yesterday(e *entry) *entry {
	if c.disk == nil || e.source != decode.FromReflection || c.shelf(e.backend).entries[e.service] != nil ||
		c.disk.hash(e.backend, e.service) == e.linked.hash {
		return nil
	}
	l := c.disk.load(e.backend, e.service)
	if l == nil || l.services[e.service] == nil {
		return nil
	}
	return c.newEntry(e.backend, e.service, found{linked: l, source: decode.FromDisk}, e.generation)
}

// newEntry makes an entry of a service that f.linked holds.
func (c *Cache) newEntry(backend, service string, f found, generation uint64) *entry {
	e := &entry{
		backend: backend, service: service, source: f.source, linked: f.linked, desc: f.linked.services[service],
		fetched: c.now(), generation: generation, cost: len(f.linked.data),
	}
	types := types{cache: c, backend: backend, own: e.linked.types}
	list := e.desc.Methods()
	e.methods = make(map[string]*decode.Method, list.Len())
	for i := range list.Len() {
		m := list.Get(i)
		e.methods[pathOf(m)] = &decode.Method{Desc: m, Types: types, Source: e.source}
	}
	ttl := c.opt.NegativeTTL
	if f.source == decode.FromReflection {
		ttl = c.ttl(backend)
	}
	e.dueAt.Store(int64(e.fetched + ttl))
	return e
}

func pathOf(m protoreflect.MethodDescriptor) string {
	return "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
}

// keep puts a new entry in its place. It returns what is there now and what
// was before: a service that was known stays as it was when it is told anew by
// a lower step of the ladder only, or by endpoints that are gone.
func (c *Cache) keep(e *entry, refused error) (kept, replaced *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.shelf(e.backend).clone()
	current := next.generation == e.generation
	if current {
		c.judge(next, refused)
	}
	if !current {
		e.dueAt.Store(0)
	}
	old := next.entries[e.service]
	if old != nil && (old.pinned || e.source > old.source || e.generation < old.generation) {
		if current && !old.pinned {
			old.dueAt.Store(e.dueAt.Load())
		}
		c.publish(e.backend, next)
		return old, nil
	}
	if old != nil {
		c.bytes -= old.cost
	} else if len(next.entries) >= maxServices {
		oldest := next.oldest(nil)
		if oldest == nil {
			return e, nil // all pinned: this one is not kept
		}
		next.remove(oldest.service)
		c.bytes -= oldest.cost
		c.forgotten.Add(1)
	}
	next.put(e)
	c.bytes += e.cost
	c.publish(e.backend, next)
	c.misses.forget(e.backend, e.service)
	c.shrink(e)
	return e, old
}

// judge notes whether a backend's reflection works. Caller holds c.mu.
func (c *Cache) judge(next *shelf, refused error) {
	if refused != nil {
		next.refused, next.refusedUntil = refused, c.now()+c.opt.NegativeTTL
	} else if c.now() >= next.refusedUntil {
		next.refused, next.refusedUntil = nil, 0
	}
}

// keepMiss notes that nothing knows a service. A service that was known stays
// known.
func (c *Cache) keepMiss(backend, service string, f found, generation uint64) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shelf(backend)
	current := s.generation == generation
	if current && (f.refused != nil || s.refused != nil) {
		next := s.clone()
		c.judge(next, f.refused)
		c.publish(backend, next)
	}
	until := c.now() + c.opt.NegativeTTL
	if old := s.entries[service]; old != nil {
		if current && !old.pinned {
			old.dueAt.Store(int64(until))
		}
		return old, nil
	}
	if f.err == nil {
		f.err = errors.New("nothing knows the service " + service)
	}
	if current {
		c.misses.put(&miss{backend: backend, service: strings.Clone(service), err: f.err, problems: f.problems, until: until})
	}
	return nil, f.err
}
