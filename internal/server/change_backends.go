package server

import (
	"context"
	"fmt"
	"reflect"

	"go.uber.org/zap"

	"loom/internal/backend"
	"loom/internal/breaker"
	"loom/internal/config"
	"loom/internal/h2"
)

// backends makes those that come, with their breakers, and readies those that
// change. One that stays keeps its connections, its counters and all that is
// known of its endpoints, and its breaker keeps its state.
func (c *change) backends(ctx context.Context) error {
	for i := range c.next.cfg.Backends {
		is := &c.next.cfg.Backends[i]
		was := c.was.cfg.Backend(is.Name)
		if was == nil {
			was = new(config.Backend)
		}
		if err := c.backendTLS(was, is); err != nil {
			return err
		}
		if err := c.breaker(was, is); err != nil {
			return err
		}
		if err := c.backend(ctx, was, is); err != nil {
			return err
		}
		if !reflect.DeepEqual(was.Reflection, is.Reflection) || !reflect.DeepEqual(was.Descriptors, is.Descriptors) {
			c.then(func(*h2.Batch) { c.server.watch.schemas.cache.Drop(is.Name) })
		}
	}
	return nil
}

func (c *change) backendTLS(was, is *config.Backend) error {
	old := c.was.tls[is.Name]
	switch {
	case is.TLS == nil:
		return nil
	case old != nil && reflect.DeepEqual(was.TLS, is.TLS):
		c.next.tls[is.Name] = old
		return nil
	}
	made, err := c.server.backendTLS(is)
	if err != nil {
		return fmt.Errorf("backend %q: %w", is.Name, err)
	}
	c.next.tls[is.Name] = made
	return nil
}

func (c *change) breaker(was, is *config.Backend) error {
	old := c.was.breakers[is.Name]
	switch {
	case is.Breaker == nil:
		return nil
	case old == nil:
		if err := c.server.openBreaker(c.next, is); err != nil {
			return err
		}
		c.otherwise(c.next.breakers[is.Name].Stop)
		return nil
	}
	c.next.breakers[is.Name] = old
	settings := breakerSettings(is)
	if err := settings.Check(); err != nil {
		return fmt.Errorf("change the breaker of backend %q: %w", is.Name, err)
	}
	if was.Breaker == nil || settings != breakerSettings(was) {
		c.then(func(*h2.Batch) { c.server.adjust(old, settings) })
	}
	return nil
}

// adjust gives a breaker other settings, which have been checked.
func (s *Server) adjust(b *breaker.Breaker, to breaker.Settings) {
	if err := b.Apply(to); err != nil {
		s.log.Error("change a breaker", zap.String("backend", b.Name()), zap.Error(err))
	}
}

func (c *change) backend(ctx context.Context, was, is *config.Backend) error {
	old := c.was.backends[is.Name]
	if old == nil {
		if err := c.server.openBackend(c.next, is); err != nil {
			return err
		}
		c.otherwise(c.next.backends[is.Name].Close)
		return nil
	}
	c.next.backends[is.Name] = old
	if c.was.limits == c.next.limits && c.was.tls[is.Name] == c.next.tls[is.Name] && reflect.DeepEqual(itself(was), itself(is)) {
		return nil
	}
	ready, err := old.Prepare(ctx, c.server.optionsOf(c.next, is))
	if err != nil {
		return err
	}
	c.otherwise(ready.Cancel)
	c.then(ready.Commit)
	return nil
}

// optionsOf are those of a backend that a configuration says something of.
func (s *Server) optionsOf(f *inForce, c *config.Backend) backend.Options {
	o := backendOptions(c, f.limits, s.budget, s.counters)
	o.TLS = f.tls[c.Name]
	return o
}

// itself returns what a configuration says of a backend, without what is for
// others who deal with it.
func itself(c *config.Backend) config.Backend {
	out := *c
	out.TLS, out.Breaker, out.Reflection, out.Descriptors = nil, nil, nil, nil
	return out
}
