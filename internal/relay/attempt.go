package relay

import (
	"time"

	"loom/internal/backend"
	"loom/internal/callevent"
	"loom/internal/h2"
)

// attempt is one try of a call at its backend, from the moment that leave is
// asked for: the stream, and what the backend's guards have to hear of its
// end. It is the receiver of its stream, so that a late word about an earlier
// attempt is never taken for one about the next.
type attempt struct {
	// Immutable once the stream is open.
	call     *Call
	stream   h2.Stream
	endpoint *backend.Endpoint // nil until the stream is open
	began    time.Duration     // since the start of the call

	// Guarded by Call.mu.
	ticket Ticket // of the breaker
	owed   bool   // the breaker waits for the verdict
	over   bool   // its end is settled
}

// ask asks the breaker of u, if it has one, for leave to make the attempt.
func (a *attempt) ask(b *h2.Batch, u *upstream) *Rejection {
	a.began = b.Now.Sub(a.call.started)
	if u.breaker == nil {
		return nil
	}
	t, rejected := u.breaker.Allow(b.Now, a.call)
	if rejected == nil {
		a.ticket, a.owed = t, true
	}
	return rejected
}

// again returns an attempt that takes the place of a, which the backend
// certainly did not process: its verdict is that of both.
func (a *attempt) again(b *h2.Batch) *attempt {
	next := &attempt{call: a.call, began: a.began, ticket: a.ticket, owed: a.owed}
	a.owed = false
	a.settle(b, Excluded, "")
	return next
}

// judge gives the breaker its verdict, once. A failure after that is counted
// as what it is. The lock of the call is held.
func (a *attempt) judge(b *h2.Batch, v Verdict, why string) {
	switch breaker := a.call.upstream.breaker; {
	case a.owed:
		a.owed = false
		breaker.Done(b.Now, &a.ticket, v, why)
	case v == Failure && breaker != nil:
		breaker.Failed(why)
	}
}

// settle says how the attempt ended, once, to the breaker and to the
// endpoint. The lock of the call is held.
func (a *attempt) settle(b *h2.Batch, v Verdict, why string) {
	if a.over {
		return
	}
	a.over = true
	a.judge(b, v, why)
	if a.endpoint != nil {
		a.endpoint.Done(b.Now, v.outcome())
	}
}

// Attempt opens the upstream stream on conn and sends what is kept of the
// request. Implements backend.Waiter.
func (c *Call) Attempt(b *h2.Batch, conn *h2.Conn, e *backend.Endpoint) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, k := c.try, c.kept
	if a == nil || a.endpoint != nil || k == nil {
		return backend.ErrOver // it ended while it waited
	}
	all := k.end && len(k.body) == 0 && k.trailers == nil
	if err := conn.Open(b, &a.stream, a, c.requestFields(b), all); err != nil {
		return err
	}
	a.endpoint, c.endpoint = e, e
	c.attempts++
	if f := c.tell(); f != nil {
		f.Attempted(b.Now, c.backendName(), e.Name())
	}
	if !all {
		c.resend(b, k)
	}
	if len(k.body) > c.tables.rules.KeptRequest {
		// More came while it waited than is kept for another attempt.
		c.conn.relay.opts.Counters.KeptRequests.Add(1)
		c.release(b)
	}
	return nil
}

// Over reports whether the call has ended or has a connection: it needs none.
func (c *Call) Over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.try == nil || c.try.endpoint != nil || c.kept == nil
}

// Unary implements [Prober].
func (c *Call) Unary() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.upEnd && c.traffic[callevent.Up].Messages == 1
}

// up returns the stream of the attempt under way; nil before and between.
func (c *Call) up() *h2.Stream {
	if c.try == nil || c.try.endpoint == nil {
		return nil
	}
	return &c.try.stream
}

// waits reports whether the call may be in its backend's queue.
func (c *Call) waits() bool { return c.try != nil && c.try.endpoint == nil && c.kept != nil }

// resend sends what is kept of the request's body. The caller gets credit
// only for what was never sent before.
func (c *Call) resend(b *h2.Batch, k *kept) {
	up := c.up()
	old := len(k.body) - k.unsent
	end := k.end && k.trailers == nil
	if old > 0 {
		up.Send(b, k.body[:old], end && k.unsent == 0, nil)
	}
	if k.unsent > 0 || end && old == 0 {
		up.Send(b, k.body[old:], end, &c.down)
		k.unsent = 0
	}
	if k.trailers != nil {
		up.SendHeaders(b, k.trailers, true)
	}
}

// Refused says that there is no connection for the attempt. Implements
// backend.Waiter.
func (c *Call) Refused(b *h2.Batch, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.waits() {
		return // it ended while it waited
	}
	r := c.unreachable(err)
	if r.reason != ReasonUnreachable {
		c.try.settle(b, Excluded, "")
		c.answer(b, r)
		return
	}
	c.try.settle(b, Failure, r.message)
	if !c.failedWith(b, r.code, nil) {
		c.answer(b, r)
	}
}
