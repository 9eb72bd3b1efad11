package relay

import (
	"sync"

	"loom/internal/callevent"
	"loom/internal/h2"
)

// tell returns who follows the call: nil if nobody does. After the end they
// hear no more: what a caller still sends then, nobody reads.
func (c *Call) tell() callevent.Follower {
	if c.reported {
		return nil
	}
	return c.follower
}

// pass accounts for bytes that go one way.
func (c *Call) pass(b *h2.Batch, d callevent.Direction, p []byte) {
	t := &c.traffic[d]
	t.Bytes += uint64(len(p))
	if c.times != nil {
		c.times.moved = b.Now
	}
	if c.conn.relay.opts.Observer == nil && (c.upstream == nil || c.upstream.breaker == nil) {
		return // nobody wants to know of messages
	}
	m := &c.scan[d]
	for len(p) > 0 {
		pc, rest, ok := m.next(p)
		p = rest
		if !ok {
			return
		}
		if pc.last {
			t.Messages++
		}
		if f := c.tell(); f != nil {
			f.Piece(b.Now, callevent.Piece{Direction: d, First: pc.first, Last: pc.last,
				Compressed: m.compressed(), Size: m.size(), Data: pc.data})
		}
	}
}

// summaryPool is shared by all calls: each needs one for the moment of its end.
var summaryPool = sync.Pool{New: func() any { return new(callevent.Summary) }}

// report says how the call ended, once. The lock is held.
func (c *Call) report(b *h2.Batch, ender callevent.Ender, reason string) {
	if c.reported {
		return
	}
	if c.try != nil {
		c.try.settle(b, Excluded, "") // unless it is settled already
	}
	c.copy.leave(b)
	c.tables.leave()
	if o := c.conn.relay.opts.Observer; o != nil {
		s := summaryPool.Get().(*callevent.Summary)
		*s = callevent.Summary{
			Started:   c.started,
			Took:      b.Now.Sub(c.started),
			Path:      c.request.path,
			Authority: c.request.authority,
			Route:     c.routeName(),
			Backend:   c.backendName(),
			Endpoint:  c.endpointName(),
			Peer:      c.conn.caller.Peer,
			Attempts:  c.attempts,
			Up:        c.traffic[callevent.Up],
			Down:      c.traffic[callevent.Down],
			Code:      c.code,
			HasCode:   c.hasCode,
			Detail:    decodeMessage(c.detail),
			Ender:     ender,
			Reason:    reason,
		}
		if f := c.tell(); f != nil {
			f.Ended(b.Now, s)
		}
		o.Ended(s)
		*s = callevent.Summary{}
		summaryPool.Put(s)
	}
	c.reported = true
	c.follower = nil
}
