package relay

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"loom/internal/backend"
	"loom/internal/h2"
)

const (
	// mirrorsOpen is how many copies of a route's calls may be under way: with
	// what they hold (Options.KeptRequest each) no more than some 16 MiB.
	mirrorsOpen = 256
	// mirrorsWaiting is how many of them may wait for a connection: enough for
	// the first ones of a backend, and few beside the calls that are meant
	// for it.
	mirrorsWaiting = 16
	// mirrorLinger is how long a copy may go on without its call: an answer
	// that takes longer tells nobody anything.
	mirrorLinger = 10 * time.Second
)

// mirroring is where a route sends copies of some of its calls.
type mirroring struct {
	// Immutable.
	upstream *upstream
	percent  float64
	*copies
}

// copies are those that a route has under way, whichever rules they began with.
type copies struct {
	open    atomic.Int64
	waiting atomic.Int64 // those that have no connection
}

// mirror is a copy of a call. It takes what the call brings as long as there
// is room, and tells nobody how it fared: neither the caller, nor the breaker,
// nor those who watch.
type mirror struct {
	// Immutable.
	relay  *Relay
	tables *Tables
	to     *mirroring
	fields []h2.Field

	stream h2.Stream // has locks of its own

	mu sync.Mutex // taken with that of the call held, before that of a connection
	// Guarded by mu.
	queued   bool              // counts as waiting
	endpoint *backend.Endpoint // nil until the stream is open
	body     []byte            // that no stream has taken
	ended    bool              // the request is complete
	alone    bool              // the call has ended
	over     bool
	timer    *time.Timer // ends the waiting of a copy that is alone
}

// mirror begins a copy of the call, if its route wants one and there is room.
// No lock is held.
func (c *Call) mirror(b *h2.Batch, fields []h2.Field, end bool) {
	to := c.routing().mirroring
	if to == nil || rand.Float64()*100 >= to.percent {
		return
	}
	k := to.upstream.breaker
	if k != nil && !k.Closed() || to.open.Load() >= mirrorsOpen || to.waiting.Load() >= mirrorsWaiting {
		c.conn.relay.opts.Counters.MirrorsDropped.Add(1)
		return
	}
	to.open.Add(1)
	to.waiting.Add(1)
	c.tables.copies.Add(1)
	m := &mirror{relay: c.conn.relay, tables: c.tables, to: to, fields: to.upstream.rename(fields), queued: true, ended: end}
	c.mu.Lock()
	c.copy = m
	c.mu.Unlock()
	if err := to.upstream.Open(b, m, backend.Pick{}); err != nil {
		m.Refused(b, err)
	}
}

// Attempt implements backend.Waiter.
func (m *mirror) Attempt(b *h2.Batch, conn *h2.Conn, e *backend.Endpoint) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over || m.endpoint != nil {
		m.leaveQueue()
		return backend.ErrOver
	}
	all := m.ended && len(m.body) == 0
	if err := conn.Open(b, &m.stream, m, m.fields, all); err != nil {
		return err
	}
	m.relay.opts.Counters.Mirrored.Add(1)
	m.leaveQueue()
	m.endpoint = e
	if !all && (m.ended || len(m.body) > 0) {
		m.stream.Send(b, m.body, m.ended, nil)
	}
	m.letGo()
	if m.alone {
		m.stream.SetDeadline(b.Now.Add(mirrorLinger))
	}
	return nil
}

// Refused implements backend.Waiter.
func (m *mirror) Refused(b *h2.Batch, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leaveQueue()
	m.drop(b)
}

// Over implements backend.Waiter.
func (m *mirror) Over() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.over || m.endpoint != nil
}

// send passes on bytes of the request. A nil mirror takes none.
func (m *mirror) send(b *h2.Batch, p []byte, end bool) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over || m.ended {
		return
	}
	m.ended = end
	most := m.tables.rules.KeptRequest
	switch {
	case m.endpoint != nil && m.stream.Queued()+len(p) <= most:
		m.stream.Send(b, p, end, nil)
	case m.endpoint == nil && len(m.body)+len(p) <= most && m.relay.opts.H2.Budget.Reserve(len(p)):
		m.body = append(m.body, p...)
	default:
		m.drop(b)
	}
}

// leave says that the call has ended: a copy of all of it may still be
// answered, one of a part is no use.
func (m *mirror) leave(b *h2.Batch) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.alone = true
	switch {
	case m.over:
	case !m.ended:
		m.drop(b)
	case m.endpoint != nil:
		m.stream.SetDeadline(b.Now.Add(mirrorLinger))
	default:
		m.timer = time.AfterFunc(mirrorLinger, m.giveUp)
	}
}

// giveUp ends the waiting of a copy that is alone.
func (m *mirror) giveUp() {
	m.to.upstream.Forget(m)
	b := h2.NewBatch()
	m.mu.Lock()
	if m.endpoint == nil {
		m.leaveQueue()
		m.drop(b)
	}
	m.mu.Unlock()
	b.Flush()
}

// Headers implements h2.Receiver.
func (m *mirror) Headers(b *h2.Batch, _ h2.BlockKind, _ []h2.Field, end bool) {
	if end {
		m.answered(b)
	}
}

// Data implements h2.Receiver.
func (m *mirror) Data(b *h2.Batch, s *h2.Stream, p []byte, end bool) {
	s.Discard(b, len(p))
	if end {
		m.answered(b)
	}
}

// answered ends a copy whose answer is complete. What is left of the request,
// the backend does not want.
func (m *mirror) answered(b *h2.Batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ended {
		m.stream.Reset(b, h2.CodeCancel)
	}
	m.end(b)
}

// Ended implements h2.Receiver.
func (m *mirror) Ended(b *h2.Batch, _ h2.End) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end(b)
}

// Expired implements h2.Receiver.
func (m *mirror) Expired(b *h2.Batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(b)
}

// drop gives the copy up. The lock is held.
func (m *mirror) drop(b *h2.Batch) {
	if m.over {
		return
	}
	m.relay.opts.Counters.MirrorsDropped.Add(1)
	if m.endpoint != nil {
		m.stream.Reset(b, h2.CodeCancel)
	}
	m.end(b)
}

// end lets go of what the copy holds. The lock is held.
func (m *mirror) end(b *h2.Batch) {
	if m.over {
		return
	}
	m.over = true
	m.letGo()
	m.to.open.Add(-1)
	if m.endpoint != nil {
		m.endpoint.Done(b.Now, backend.Neither)
	}
	m.tables.dropCopy()
}

// letGo frees what was kept for the time of waiting.
func (m *mirror) letGo() {
	m.relay.opts.H2.Budget.Release(len(m.body))
	m.body = nil
	if m.timer != nil {
		m.timer.Stop()
	}
}

func (m *mirror) leaveQueue() {
	if m.queued {
		m.queued = false
		m.to.waiting.Add(-1)
	}
}
