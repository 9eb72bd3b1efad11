package h2

import (
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// Heir is the owner of a connection that was written down.
type Heir interface {
	Owner
	// Stream gives new memory for stream id, which is open, and its receiver,
	// and says how many of the bytes that came in on it the receiver still
	// has: it passes them on with Stream.Send, naming the stream, or says
	// Discard, as if they had just come. A nil Stream means that nobody knows
	// the stream, and the connection is refused.
	Stream(id uint32) (s *Stream, recv Receiver, held int)
}

// Thawed is a connection that was written down and may go on.
type Thawed struct {
	*Conn

	debts []debt
}

// debt says to whom bytes under way give credit when they leave: n bytes of
// the outbox, or those that wait on a stream.
type debt struct {
	from   streamName
	n      int
	stream *Stream // that they wait on; nil: they are in the outbox
}

// Thaw makes a connection of what [Frozen.Marshal] returned. Until the
// connection is served nothing is read, written, or asked of nc, nobody is
// told anything, and nothing of it lasts: it may be dropped. What nobody could
// have written, or this program cannot read, is refused as a whole: any bytes
// may be given to it.
//
// The time since Marshal does not count, neither for deadlines; an owner who
// knows better sets them anew. Limits that the peer was told stay as they
// were, whatever o says; all others are those of o.
func Thaw(nc net.Conn, o *Options, heir Heir, blob []byte) (*Thawed, error) {
	if _, secure := nc.(*tls.Conn); secure {
		return nil, ErrSecure
	}
	r, err := unseal(blob)
	if err != nil {
		return nil, fmt.Errorf("thaw a connection: %w", err)
	}
	c := newConn(nc, o.as(r.told), heir, r.server)
	if err := c.dec.restore(&r.table, &r.partial); err != nil {
		return nil, fmt.Errorf("thaw a connection: %w", err)
	}
	t := &Thawed{Conn: c}
	if err := t.adopt(heir, r.streams); err != nil {
		return nil, fmt.Errorf("thaw a connection: %w", err)
	}
	t.restore(r)
	return t, nil
}

// as returns the options with the limits that a peer was told.
func (o *Options) as(t toldLimits) *Options {
	p := *o
	l := &p.Limits
	l.Streams, l.HeaderList, l.StreamWindow, l.ConnWindow = t.streams, t.headerList, t.streamWindow, t.connWindow
	l.Buffered = max(l.Buffered, l.ConnWindow)
	if p.Limits == o.Limits {
		return o
	}
	return &p
}

// adopt finds the memory and the receiver of each stream.
func (t *Thawed) adopt(heir Heir, streams []streamRecord) error {
	c := t.Conn
	type child struct {
		s    *Stream
		recv Receiver
	}
	children := make([]child, 0, len(streams))
	for i := range streams {
		s, recv, held := heir.Stream(streams[i].id)
		if s == nil {
			return fmt.Errorf("nobody knows its stream %d", streams[i].id)
		}
		children = append(children, child{s, recv})
		c.buffered += held
	}
	for i, child := range children { // only now: refused is refused
		t.restoreStream(child.s, child.recv, &streams[i])
	}
	return nil
}

func (t *Thawed) restoreStream(s *Stream, recv Receiver, r *streamRecord) {
	c, now := t.Conn, t.alarms.epoch
	s.id, s.conn, s.recv, s.opened = r.id, c, recv, now.Add(-r.opened)
	if r.unsent > 0 {
		s.offset = thawedHanded + uint64(r.unsent-1)
	}
	s.sentHead, s.sentEnd, s.gotHead, s.gotEnd = r.sentHead, r.sentEnd, r.gotHead, r.gotEnd
	s.sendWindow, s.recvWindow, s.window, s.consumed = r.sendWindow, r.recvWindow, r.window, r.consumed
	s.length, s.received = r.length, r.received
	s.tail, s.trailers, s.thenReset, s.resetCode = r.tail, r.trailers, r.thenReset, r.resetCode
	s.queue.add(r.queue)
	s.free = r.free
	if n := len(r.queue) - r.free; n > 0 {
		t.debts = append(t.debts, debt{r.source, n, s})
	}
	s.stuckSince = before(now, r.stuck)
	s.deadline.stream, s.deadline.kind = s, alarmDeadline
	c.alarms.put(&s.deadline, r.deadline)
	s.stall.stream, s.stall.kind = s, alarmStall
	c.alarms.put(&s.stall, r.stall)
	c.streams[s.id] = s
}

// thawedHanded is what a connection that goes on has given to its socket, as
// far as its streams are concerned: something.
const thawedHanded = 1

func (t *Thawed) restore(r *connRecord) {
	c, now := t.Conn, t.alarms.epoch
	c.thawed = true
	c.began, c.settled, c.greeted, c.unacked = r.began, r.settled, r.greeted, r.unacked
	if len(r.in) > 0 {
		c.in = getBuffer()
		c.in.b = append(c.in.b, r.in...)
	}
	c.block = r.block
	c.earlyResets.fill(r.earlyResets, now)
	c.ownResets.fill(r.ownResets, now)
	c.noise.fill(r.noise, now)
	c.lastAccepted, c.lastSeen, c.nextID = r.lastAccepted, r.lastSeen, r.nextID
	c.peer.headerTable, c.peer.maxStreams, c.peer.initialWindow = r.peerTable, r.peerStreams, r.peerWindow
	c.enc.restart(r.peerTable)
	c.goneAway, c.answeredOnce = r.goneAway, r.answered
	c.recvWindow, c.received, c.held, c.sendWindow = r.recvWindow, r.received, r.held, r.sendWindow
	c.recent = recentIDs{ring: r.recent}
	c.wanted, c.wantsRoom = r.wanted, r.wantsRoom
	c.draining, c.grace = r.draining, r.grace
	c.handed = thawedHanded
	c.out.control = r.control
	for p := r.out; len(p) > 0; {
		x := getBuffer()
		n := min(len(p), cap(x.b))
		x.b = append(x.b, p[:n]...)
		c.out.bufs = append(c.out.bufs, x)
		p = p[n:]
	}
	for _, m := range r.marks {
		t.debts = append(t.debts, debt{from: m.from, n: m.n})
	}
	for _, id := range r.ready {
		if s := c.streams[id]; s != nil {
			c.await(s)
		}
	}
	t.restoreTimes(r)
}

func (t *Thawed) restoreTimes(r *connRecord) {
	c, now := t.Conn, t.alarms.epoch
	c.lastRead.Store(before(now, r.lastRead).UnixNano())
	c.pingSent, c.idleSince = before(now, r.pingSent), before(now, r.idleSince)
	c.pinged, c.aged = r.pinged, r.aged
	c.alarms.put(&c.start, r.start)
	c.alarms.put(&c.drainTimer, r.drain)
	// The configuration may have others than when these were set.
	if c.opts.KeepaliveInterval > 0 {
		c.alarms.put(&c.keepalive, orElse(r.keepalive, c.opts.KeepaliveInterval))
	}
	if c.opts.MaxAge > 0 && !c.aged {
		c.alarms.put(&c.ageAlarm, orElse(r.age, spread(c.opts.MaxAge)))
	} else if c.aged {
		c.alarms.put(&c.ageAlarm, r.age)
	}
	if c.opts.IdleTimeout > 0 && !c.server {
		if r.idleSince == never {
			c.idleSince = now
		}
		c.alarms.put(&c.idleAlarm, orElse(r.idle, c.opts.IdleTimeout))
	}
}

func orElse(d, other time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return other
}

// before is the time of what is of that age.
func before(now time.Time, age time.Duration) time.Time {
	if age == never {
		return time.Time{}
	}
	return now.Add(-age)
}

// Join finds again whom the bytes under way came from: find returns the
// connection that was written down under a name, or nil. It is called once,
// when all that were written down together have been thawed, and before any
// of them is served.
func (t *Thawed) Join(find func(name uint32) *Conn) {
	for _, d := range t.debts {
		var from *Conn
		if d.from.conn != 0 {
			from = find(d.from.conn)
		}
		if from == nil {
			if d.stream != nil {
				d.stream.free = d.stream.queued()
			}
			continue
		}
		s := from.sender(d.from.id, d.n)
		if d.stream != nil {
			d.stream.source = s
		} else {
			t.out.marks = append(t.out.marks, mark{s, d.n})
		}
	}
	t.debts = nil
}

// sender returns the stream that n bytes under way came in on: if it has
// ended, one in its place, because the connection gets its credit all the same.
func (c *Conn) sender(id uint32, n int) *Stream {
	c.buffered += n
	if s := c.streams[id]; s != nil {
		return s
	}
	return &Stream{id: id, conn: c, gone: true}
}

// goOn is begin for a connection that was written down.
func (c *Conn) goOn() {
	c.batch.Now = time.Now()
	c.mu.Lock()
	c.touch(&c.batch)
	c.bufferedChanged()
	if len(c.alarms.heap) > 0 {
		c.alarms.arm(c.ring)
	}
	c.mu.Unlock()
	c.batch.Flush()
}
