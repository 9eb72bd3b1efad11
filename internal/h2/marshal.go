package h2

import (
	"slices"
	"time"
)

// Marshal writes the connection down, for [Thaw]. What comes out is bounded
// and has a version and a checksum; it holds what the calls say, credentials
// included, and must not be logged. names has a name, other than 0, for each
// connection that is written down with this one: bytes under way remember by
// it whom they came from, and Thawed.Join finds that one again. Bytes of
// connections without a name give nobody credit when they leave.
//
// The connection stays paused and as it is. The next process asks its own
// configuration for every limit but those that the peer was told.
func (f *Frozen) Marshal(names map[*Conn]uint32) ([]byte, error) {
	c := f.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.freeze != f.pause {
		return nil, ErrClosed
	}
	r, err := c.record(names, time.Now())
	if err != nil {
		return nil, err
	}
	return seal(r)
}

// record takes the picture of a connection that is paused.
func (c *Conn) record(names map[*Conn]uint32, now time.Time) (*connRecord, error) {
	l := &c.opts.Limits
	r := &connRecord{
		server: c.server,
		told:   toldLimits{l.Streams, l.HeaderList, l.StreamWindow, l.ConnWindow},
		began:  c.began, settled: c.settled, greeted: c.greeted,
		in:          c.unread(),
		block:       c.block,
		earlyResets: c.earlyResets.level(now), ownResets: c.ownResets.level(now), noise: c.noise.level(now),
		lastAccepted: c.lastAccepted, lastSeen: c.lastSeen, nextID: c.nextID,
		peerTable: c.peer.headerTable, peerStreams: c.peer.maxStreams, peerWindow: c.peer.initialWindow,
		goneAway: c.goneAway, answered: c.answeredOnce,
		recvWindow: c.recvWindow, received: c.received, held: c.held, sendWindow: c.sendWindow,
		recent: c.recent.list(),
		wanted: c.wanted, wantsRoom: c.wantsRoom,
		draining: c.draining, unacked: c.unacked, grace: c.grace, control: c.out.control,
		out:   slices.Concat(c.out.pieces()...),
		start: c.alarms.left(&c.start, now), keepalive: c.alarms.left(&c.keepalive, now),
		drain: c.alarms.left(&c.drainTimer, now), age: c.alarms.left(&c.ageAlarm, now), idle: c.alarms.left(&c.idleAlarm, now),
		lastRead: age(now, time.Unix(0, c.lastRead.Load())), pingSent: age(now, c.pingSent), idleSince: age(now, c.idleSince),
		pinged: c.pinged, aged: c.aged,
	}
	for _, m := range c.out.marks {
		if name := nameOf(m.from, names); name.conn != 0 {
			r.marks = append(r.marks, markRecord{name, m.n})
		}
	}
	for _, s := range c.ready {
		if !s.gone {
			r.ready = append(r.ready, s.id)
		}
	}
	for _, s := range c.streams {
		r.streams = append(r.streams, s.record(names, now))
	}
	slices.SortFunc(r.streams, func(a, b streamRecord) int { return int(a.id) - int(b.id) })
	var err error
	r.table, r.partial, err = c.dec.record()
	return r, err
}

// unread is the beginning of a frame that has come.
func (c *Conn) unread() []byte {
	switch {
	case c.in != nil:
		return c.in.b[c.inAt:]
	case c.sock != nil:
		return c.sock.rest
	default:
		return nil
	}
}

func (s *Stream) record(names map[*Conn]uint32, now time.Time) streamRecord {
	alarms := &s.conn.alarms
	r := streamRecord{
		id:       s.id,
		sentHead: s.sentHead, sentEnd: s.sentEnd, gotHead: s.gotHead, gotEnd: s.gotEnd,
		sendWindow: s.sendWindow, recvWindow: s.recvWindow, window: s.window, consumed: s.consumed,
		length: s.length, received: s.received,
		queue: slices.Concat(s.queue.pieces()...),
		free:  s.free,
		tail:  s.tail, trailers: s.trailers, thenReset: s.thenReset, resetCode: s.resetCode,
		opened: age(now, s.opened), stuck: age(now, s.stuckSince),
		deadline: alarms.left(&s.deadline, now), stall: alarms.left(&s.stall, now),
	}
	if s.free < s.queued() {
		if r.source = nameOf(s.source, names); r.source.conn == 0 {
			r.free = s.queued()
		}
	}
	if s.offset >= s.conn.handed {
		r.unsent = 1 + int(s.offset-s.conn.handed)
	}
	return r
}

func nameOf(s *Stream, names map[*Conn]uint32) streamName {
	if s == nil || names[s.conn] == 0 {
		return streamName{}
	}
	return streamName{names[s.conn], s.id}
}

// age is how long ago t was.
func age(now, t time.Time) time.Duration {
	if t.IsZero() {
		return never
	}
	return min(max(0, now.Sub(t)), longest)
}
