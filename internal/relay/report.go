package relay

import (
	"loom/internal/callevent"
	"loom/internal/h2"
)

// event tells the observer, if there is one. After the end it hears no more:
// what a caller still sends then, nobody reads.
func (c *Call) event(b *h2.Batch, e callevent.Event) {
	if o := c.relay.opts.Observer; o != nil && !c.reported {
		e.Call, e.At = c.id, b.Now
		o.Observe(e)
	}
}

// pass accounts for bytes that go one way.
func (c *Call) pass(b *h2.Batch, d callevent.Direction, p []byte) {
	t := &c.traffic[d]
	t.Bytes += uint64(len(p))
	if c.relay.opts.Observer == nil {
		return
	}
	c.event(b, callevent.Event{Kind: callevent.Data, Direction: d, Data: p})
	c.scan[d].scan(p, func(size int) {
		t.Messages++
		c.event(b, callevent.Event{Kind: callevent.Message, Direction: d, Size: size})
	})
}

// report says how the call ended, once. The lock is held.
func (c *Call) report(b *h2.Batch, ender callevent.Ender, reason string) {
	if c.reported {
		return
	}
	c.relay.openCalls.Add(-1)
	if c.relay.opts.Observer == nil {
		c.reported = true
		return
	}
	c.event(b, callevent.Event{Kind: callevent.End, Summary: &callevent.Summary{
		Started:   c.started,
		Took:      b.Now.Sub(c.started),
		Path:      c.request.path,
		Authority: c.request.authority,
		Route:     c.routeName(),
		Backend:   c.backendName(),
		Endpoint:  c.endpoint,
		Peer:      c.peer,
		Attempts:  c.attempts,
		Up:        c.traffic[callevent.Up],
		Down:      c.traffic[callevent.Down],
		Code:      c.code,
		HasCode:   c.hasCode,
		Detail:    decodeMessage(c.detail),
		Ender:     ender,
		Reason:    reason,
	}})
	c.reported = true
}
