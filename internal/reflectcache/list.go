package reflectcache

import (
	"context"
	"slices"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"
)

// Services lists the services of a backend, sorted: what reflection offers, or
// else what files and the disk know. The error is set only if there is none.
// It waits as Method does.
func (c *Cache) Services(ctx context.Context, backend string) ([]string, error) {
	s := c.open(backend)
	if s == nil {
		return nil, errTooManyBackends
	}
	if c.now() < s.listedUntil {
		return slices.Clone(s.listed), s.listErr
	}
	r, err := c.await(ctx, "the services of "+backend, func() <-chan singleflight.Result { return c.fetchList(s.desk) })
	names, _ := r.([]string)
	return slices.Clone(names), err
}

// fetchList begins the fetch of the list, or joins the one that runs.
func (c *Cache) fetchList(d *desk) <-chan singleflight.Result {
	generation := c.shelf(d.backend).generation
	return c.flight.DoChan(flightKey(d.backend, "", generation), func() (any, error) {
		return c.turn(d, func() (any, error) { return c.list(d.backend, generation) })
	})
}

func (c *Cache) list(backend string, generation uint64) (any, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.opt.Timeout)
	defer cancel()
	s := c.shelf(backend)
	var names []string
	var refused, err error
	if c.now() < s.refusedUntil {
		err = s.refused
	} else {
		names, refused, err = c.askList(ctx, backend)
	}
	if c.ctx.Err() != nil {
		return nil, ErrClosed
	}
	until := c.now() + c.ttl(backend)
	if err != nil {
		c.opt.Log.Debug("services not listed", zap.String("backend", backend), zap.Error(err))
		until = c.now() + c.opt.NegativeTTL
		if names = c.listOffline(backend); len(names) > 0 {
			err = nil
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s = c.shelf(backend); s.generation == generation {
		next := s.clone()
		c.judge(next, refused)
		next.listed, next.listErr, next.listedUntil = names, err, until
		c.publish(backend, next)
	}
	return names, err
}

// listOffline lists what is known of a backend that cannot be asked.
func (c *Cache) listOffline(backend string) []string {
	names := c.files.services(c.ctx, backend)
	if c.disk != nil {
		names = append(names, c.disk.services(backend)...)
	}
	names = append(names, c.heirlooms.of(backend)...)
	for name := range c.shelf(backend).entries {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
