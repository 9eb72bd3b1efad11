package reflectcache

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"
	"google.golang.org/protobuf/reflect/protoreflect"

	"loom/internal/decode"
)

// flightKey names a fetch; service "" is the list of services.
func flightKey(backend, service string) string { return backend + "\x00" + service }

// want begins a background fetch of a service that Lookup did not find. It
// leaves an entry that says so, which keeps the next Lookup from coming here.
func (c *Cache) want(backend, service string) {
	c.mu.Lock()
	if c.closed || c.pending.Load() >= maxPending || !c.admits(backend) {
		c.mu.Unlock()
		return
	}
	shelf := (*c.view.Load())[backend]
	var e *entry
	if shelf != nil {
		e = shelf.entries[service]
	}
	if e == nil {
		next := shelf.clone()
		if !c.room(next, service) {
			c.mu.Unlock()
			return
		}
		e = &entry{backend: backend, service: service}
		next.put(e)
		c.publish(backend, next)
	}
	c.mu.Unlock()
	c.refresh(e)
}

// refresh begins a background fetch of e's service, unless one is under way or
// too many are.
func (c *Cache) refresh(e *entry) {
	if !e.fetching.CompareAndSwap(false, true) {
		return
	}
	if c.pending.Add(1) > maxPending {
		c.pending.Add(-1)
		e.fetching.Store(false)
		return
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		c.pending.Add(-1)
		return
	}
	c.running.Add(1)
	c.mu.Unlock()
	result := c.fetch(e.backend, e.service)
	go func() {
		defer c.running.Done()
		<-result
		c.pending.Add(-1)
		e.fetching.Store(false)
	}()
}

// fetch begins the fetch of a service, or joins the one that runs.
func (c *Cache) fetch(backend, service string) <-chan singleflight.Result {
	return c.flight.DoChan(flightKey(backend, service), func() (any, error) {
		release, err := c.turn()
		if err != nil {
			return nil, err
		}
		defer release()
		return c.climb(backend, service)
	})
}

// turn waits for one of the slots for fetches. The release function gives it
// back.
func (c *Cache) turn() (release func(), err error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	c.running.Add(1)
	c.mu.Unlock()
	select {
	case c.slots <- struct{}{}:
		return func() { <-c.slots; c.running.Done() }, nil
	case <-c.ctx.Done():
		c.running.Done()
		return nil, ErrClosed
	}
}

// found is the outcome of one fetch of a service.
type found struct {
	linked  *linked
	source  decode.Source
	refused error // reflection as a whole does not work
}

// climb goes down the ladder for one service and stores the outcome.
func (c *Cache) climb(backend, service string) (*entry, error) {
	old := c.entry(backend, service)
	if old != nil && old.pinned {
		return old, nil
	}
	var generation uint64
	var refused error
	if s := (*c.view.Load())[backend]; s != nil {
		generation = s.generation
		if s.refused != nil && c.now() < s.refusedUntil {
			refused = s.refused
		}
	}
	f, err := c.ladder(backend, service, refused)
	if c.ctx.Err() != nil {
		return nil, ErrClosed
	}
	e := c.newEntry(backend, service, f, err)
	before := old
	if before == nil || before.desc == nil {
		before = c.yesterday(backend, service, f)
	}
	if f.linked != nil && f.source == decode.FromReflection && c.disk != nil {
		c.disk.store(backend, service, f.linked)
	}
	kept := c.keep(e, f.refused, generation)
	if f.linked != nil {
		c.record(before, e)
	}
	if kept.desc == nil {
		return nil, kept.err
	}
	return kept, nil
}

// ladder asks reflection, then the configured files, then the disk. The error
// is that of reflection, if nothing knows the service.
func (c *Cache) ladder(backend, service string, refused error) (found, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.opt.Timeout)
	defer cancel()
	f := found{}
	err := refused
	if refused == nil {
		var l *linked
		if l, err = c.reflect(ctx, backend, service); err == nil {
			return found{linked: l, source: decode.FromReflection}, nil
		}
		if !errors.Is(err, errNoService) {
			f.refused = err
		}
	}
	l, problems := c.fromFiles(backend, service)
	if l != nil {
		f.linked, f.source = l, decode.FromFiles
		return f, nil
	}
	if c.disk != nil {
		if l := c.disk.load(backend, service); l != nil {
			f.linked, f.source = l, decode.FromDisk
			return f, nil
		}
	}
	for _, p := range problems {
		err = fmt.Errorf("%w; %s", err, p)
	}
	return f, err
}

// yesterday returns what the disk has of a service that reflection told anew,
// so that a change between two runs of loom is seen.
func (c *Cache) yesterday(backend, service string, f found) *entry {
	if c.disk == nil || f.linked == nil || f.source != decode.FromReflection {
		return nil
	}
	l := c.disk.load(backend, service)
	if l == nil || l.hash == f.linked.hash {
		return nil
	}
	return c.newEntry(backend, service, found{linked: l, source: decode.FromDisk}, nil)
}

func (c *Cache) newEntry(backend, service string, f found, err error) *entry {
	e := &entry{backend: backend, service: service, source: f.source, err: err, fetched: c.now()}
	ttl := c.opt.NegativeTTL
	if f.linked != nil {
		if desc, ok := f.linked.services[service]; ok {
			e.desc, e.linked, e.problems = desc, f.linked, f.linked.problems
			e.methods = c.methodsOf(backend, e)
			if f.source == decode.FromReflection {
				ttl = c.opt.TTL
			}
		}
	}
	e.dueAt.Store(int64(e.fetched + ttl))
	return e
}

func (c *Cache) methodsOf(backend string, e *entry) map[string]*decode.Method {
	types := &types{cache: c, backend: backend, own: e.linked.types}
	list := e.desc.Methods()
	methods := make(map[string]*decode.Method, list.Len())
	for i := range list.Len() {
		m := list.Get(i)
		methods[pathOf(m)] = &decode.Method{Desc: m, Types: types, Source: e.source}
	}
	return methods
}

func pathOf(m protoreflect.MethodDescriptor) string {
	return "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
}

// keep puts a new entry in its place and returns what is there now: a service
// that was known stays known when it cannot be fetched any more, or only from
// a lower step of the ladder.
func (c *Cache) keep(e *entry, refused error, generation uint64) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || !c.admits(e.backend) {
		return e
	}
	next := (*c.view.Load())[e.backend].clone()
	if refused != nil {
		next.refused, next.refusedUntil = refused, e.fetched+c.opt.NegativeTTL
	} else if e.source == decode.FromReflection && e.desc != nil {
		next.refused, next.refusedUntil = nil, 0
	}
	old := next.entries[e.service]
	if old != nil && (old.pinned || old.desc != nil && (e.desc == nil || e.source > old.source)) {
		if !old.pinned {
			old.dueAt.Store(e.dueAt.Load())
		}
		e = old
	}
	if next.generation != generation && !e.pinned {
		e.dueAt.Store(0)
	}
	if !c.room(next, e.service) {
		return e
	}
	if e != old {
		next.put(e)
		c.bytes += e.bytes() - old.bytes()
	}
	c.publish(e.backend, next)
	c.shrink(e)
	return e
}

// Services lists the services of a backend, sorted: what reflection offers, or
// else what files and the disk know. The error is set only if there is none.
func (c *Cache) Services(ctx context.Context, backend string) ([]string, error) {
	if s := (*c.view.Load())[backend]; s != nil && c.now() < s.listedUntil {
		return slices.Clone(s.listed), nil
	}
	result := c.flight.DoChan(flightKey(backend, ""), func() (any, error) {
		release, err := c.turn()
		if err != nil {
			return nil, err
		}
		defer release()
		return c.list(backend)
	})
	select {
	case r := <-result:
		names, _ := r.Val.([]string)
		return slices.Clone(names), r.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the services of %s: %w", backend, context.Cause(ctx))
	}
}

func (c *Cache) list(backend string) ([]string, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.opt.Timeout)
	defer cancel()
	var generation uint64
	if s := (*c.view.Load())[backend]; s != nil {
		generation = s.generation
	}
	names, err := c.askList(ctx, backend)
	until := c.now() + c.opt.TTL
	if err != nil {
		c.opt.Log.Debug("services not listed", zap.String("backend", backend), zap.Error(err))
		until = c.now() + c.opt.NegativeTTL
		if names = c.listOffline(backend); len(names) == 0 {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && c.admits(backend) {
		next := (*c.view.Load())[backend].clone()
		if next.generation == generation {
			next.listed, next.listedUntil = names, until
			c.publish(backend, next)
		}
	}
	return names, nil
}

// listOffline lists what is known of a backend that cannot be asked.
func (c *Cache) listOffline(backend string) []string {
	names := c.filesServices(backend)
	if c.disk != nil {
		names = append(names, c.disk.services(backend)...)
	}
	if s := (*c.view.Load())[backend]; s != nil {
		for name, e := range s.entries {
			if e.desc != nil {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
