package server

import (
	"context"
	"slices"
	"time"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
)

const (
	driftInterval = time.Second           // between rounds: soon enough for who watches a list
	driftCalls    = 20                    // new calls that a round looks at; the newest tell most
	driftTime     = 50 * time.Millisecond // that a round may take from the relay; it ends after the message it is at
	driftTries    = 5                     // rounds that a call waits for descriptors, which are being fetched
)

// driftCheck looks in the background for calls whose messages have fields that
// the descriptors do not have, and flags them, so that nobody must open a call
// to learn of it.
type driftCheck struct {
	// Immutable.
	store   *capture.Store
	schemas *schemas

	// Owned by run.
	unknown []unknownCall // at most driftCalls, the oldest first
}

// unknownCall is a call whose method was not known when it was looked at.
type unknownCall struct {
	id            capture.ID
	backend, path string
	tries         int
}

// run looks at calls until ctx ends.
func (d *driftCheck) run(ctx context.Context) {
	tick := time.NewTicker(driftInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.round(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// round looks at the calls that ended last. It does nothing while capture is
// off, and as good as nothing if no call has ended.
func (d *driftCheck) round(ctx context.Context) {
	if d.store.Mode() == capture.Off {
		return
	}
	ctx, stop := context.WithTimeout(ctx, driftTime)
	defer stop()
	d.again(ctx)
	for range driftCalls {
		if ctx.Err() != nil {
			return
		}
		c, ok := d.store.NextUnexamined()
		if !ok {
			return
		}
		id, err := capture.ParseID(c.GetId())
		if err == nil && !d.look(ctx, id, c) {
			d.unknown = append(d.unknown, unknownCall{id, c.GetBackend(), c.GetPath(), 1})
		}
	}
	if n := len(d.unknown); n > driftCalls {
		d.unknown = slices.Delete(d.unknown, 0, n-driftCalls)
	}
}

// again looks at the calls whose methods were not known.
func (d *driftCheck) again(ctx context.Context) {
	d.unknown = slices.DeleteFunc(d.unknown, func(u unknownCall) bool {
		m, known := d.schemas.cache.Lookup(u.backend, u.path)
		if !known || m == nil || m.Desc == nil {
			return false
		}
		c, there := d.store.Call(u.id)
		return !there || d.look(ctx, u.id, c)
	})
	for i := range d.unknown {
		d.unknown[i].tries++
	}
	d.unknown = slices.DeleteFunc(d.unknown, func(u unknownCall) bool { return u.tries > driftTries })
}

// look flags a call if a message of it has unknown fields. It reports false if
// its method is not known: the cache then asks for it.
func (d *driftCheck) look(ctx context.Context, id capture.ID, c *loomv1.Call) (known bool) {
	m, known := d.schemas.cache.Lookup(c.GetBackend(), c.GetPath())
	if !known || m == nil || m.Desc == nil {
		return false
	}
	for _, msg := range c.GetMessages() {
		if ctx.Err() != nil {
			return true // what of it is left is too much
		}
		encoding := c.GetRequestHeaders()
		if msg.GetDirection() == loomv1.Direction_DIRECTION_RESPONSE {
			encoding = c.GetResponseHeaders()
		}
		if len(d.schemas.decoder.Message(m, msg.GetDirection(), encodingOf(encoding), msg).Unknown) > 0 {
			d.store.Flag(id)
			return true
		}
	}
	return true
}
