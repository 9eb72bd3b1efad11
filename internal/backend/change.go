package backend

import (
	"context"
	"slices"
	"time"

	"loom/internal/h2"
)

// Change is other options for a backend that runs, made ready and not yet in
// force. Either Commit or Cancel has to follow.
type Change struct {
	// Immutable.
	backend *Backend
	opts    Options
	targets []*target
	fresh   []*target // those of targets that the backend does not have
}

// Prepare makes other options ready, of which Name, Counters and the functions
// are those that the backend has. New targets are resolved, and waited for until
// they have answered or ctx ends. An error says which target is wrong; then
// nothing is left.
func (k *Backend) Prepare(ctx context.Context, o Options) (*Change, error) {
	was := k.options()
	o.Name, o.Counters, o.Dial, o.Moved, o.Event, o.Recovered = k.name, was.Counters, was.Dial, was.Moved, was.Event, was.Recovered
	c := &Change{backend: k, opts: o}
	k.mu.Lock()
	have := slices.Clone(k.targets)
	k.mu.Unlock()
	for _, want := range o.Targets {
		i := slices.IndexFunc(have, func(t *target) bool { return t.uri == want.URI })
		if i >= 0 {
			c.targets = append(c.targets, have[i])
			have = slices.Delete(have, i, i+1)
			continue
		}
		t, err := k.newTarget(want)
		if err == nil {
			c.targets, c.fresh = append(c.targets, t), append(c.fresh, t)
			err = t.open()
		}
		if err != nil {
			c.Cancel()
			return nil, err
		}
	}
	for _, t := range c.fresh {
		select {
		case <-t.answered:
		case <-ctx.Done():
		}
	}
	return c, nil
}

// Cancel gives up what was made ready.
func (c *Change) Cancel() {
	for _, t := range c.fresh {
		t.close()
	}
}

// Commit puts the options in force, and has who waits look again. Endpoints
// that stay keep their connections and all that is known of them. Connections
// that were secured or kept alive in another way are replaced: calls that are
// open on them go on to their end. So do those of endpoints that go.
func (c *Change) Commit(b *h2.Batch) {
	k := c.backend
	k.mu.Lock()
	if k.stopped {
		k.mu.Unlock()
		c.Cancel()
		return
	}
	was, now := k.options(), time.Now()
	k.opts.Store(&c.opts)
	gone := slices.DeleteFunc(k.targets, func(t *target) bool { return slices.Contains(c.targets, t) })
	k.targets, k.least = c.targets, leastWeight(c.opts.Targets)
	for i, t := range k.targets {
		t.weight = max(1, c.opts.Targets[i].Weight)
	}
	m := k.relist()
	list := *k.list.Load()
	if checkedAnew(was, &c.opts) {
		for _, e := range list {
			e.ask()
		}
	}
	if c.opts.Outlier == nil {
		for _, e := range list {
			e.ejection.until = 0
			e.failed.Store(0)
		}
	}
	k.rotate(now)
	k.mu.Unlock()
	for _, t := range gone {
		t.close()
	}
	if connectedAnew(was, &c.opts) {
		for _, e := range list {
			e.renew(b)
		}
	}
	m.follow(b)
	k.serveAll(b)
}

// checkedAnew reports whether endpoints are asked for their health in another
// way.
func checkedAnew(was, is *Options) bool {
	if was.Health == nil || is.Health == nil {
		return was.Health != is.Health
	}
	return *was.Health != *is.Health || was.TLS != is.TLS
}

// connectedAnew reports whether connections that were made before are not such
// as are made now.
func connectedAnew(was, is *Options) bool {
	return was.TLS != is.TLS || was.H2.KeepaliveInterval != is.H2.KeepaliveInterval ||
		was.H2.KeepaliveTimeout != is.H2.KeepaliveTimeout || was.H2.IdleTimeout != is.H2.IdleTimeout
}

// Retire has the backend end what no call needs: it is out of use, but calls
// that know it go on, to their second tries. Their connections end with them,
// health is not asked for any more, and Close has to follow.
func (k *Backend) Retire(b *h2.Batch) {
	k.mu.Lock()
	list := *k.list.Load()
	// Nobody hears of it any more: another may have its name.
	o := *k.options()
	o.Health, o.Event, o.Moved, o.Recovered = nil, nil, nil, nil
	k.opts.Store(&o)
	for _, e := range list {
		e.unask()
	}
	k.mu.Unlock()
	for _, e := range list {
		e.renew(b)
	}
	k.serveAll(b)
}
