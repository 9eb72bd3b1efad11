package h2

import "slices"

// room is how many bytes of s may be sent now: what the windows and the
// outbox take.
func (c *Conn) room(s *Stream) int {
	if c.out.len() >= c.opts.Limits.Outbox {
		return 0
	}
	return int(max(0, min(s.sendWindow, c.sendWindow)))
}

// writeData appends as much of p as there is room for, and END_STREAM if that
// is all of it and end is set. It returns how much it was.
func (c *Conn) writeData(s *Stream, p []byte, end bool, from *Stream) int {
	n := min(c.room(s), len(p))
	if n == 0 && (len(p) > 0 || !end) {
		return 0
	}
	for rest := p[:n]; ; {
		k := min(len(rest), c.peer.maxFrame)
		last := k == len(rest)
		x := c.beginData(s, k, last && end && n == len(p))
		x.b = append(x.b, rest[:k]...)
		rest = rest[k:]
		if last {
			break
		}
	}
	c.sent(s, n, from)
	return n
}

// writeQueued appends one frame of up to n queued bytes, which are there and
// may be sent.
func (c *Conn) writeQueued(s *Stream, n int, from *Stream) {
	x := c.beginData(s, n, s.tail == tailEnd && n == s.queued())
	for left := n; left > 0; {
		p := s.queue.front()
		k := min(len(p), left)
		x.b = append(x.b, p[:k]...)
		s.queue.drop(k)
		left -= k
	}
	c.sent(s, n, from)
}

// beginData appends the header of a DATA frame of n bytes.
func (c *Conn) beginData(s *Stream, n int, end bool) *buffer {
	var flags frameFlags
	if end {
		flags = flagEndStream
		s.sentEnd = true
	}
	c.answered(2)
	x := c.out.room(frameHeaderLen + n)
	x.b = appendFrameHeader(x.b, n, frameData, flags, s.id)
	return x
}

// sent accounts for n bytes of s that were appended.
func (c *Conn) sent(s *Stream, n int, from *Stream) {
	s.sendWindow -= int64(n)
	c.sendWindow -= int64(n)
	if from == nil || n == 0 {
		return
	}
	if k := len(c.out.marks) - 1; k >= 0 && c.out.marks[k].from == from {
		c.out.marks[k].n += n
	} else {
		c.out.marks = append(c.out.marks, mark{from, n})
	}
}

// enqueue keeps what cannot be sent now.
func (c *Conn) enqueue(b *Batch, s *Stream, p []byte, end bool, from *Stream) {
	if s.queued() == 0 {
		s.stuckSince = b.Now
		s.stall.stream, s.stall.kind = s, alarmStall
		if s.stall.index == 0 {
			c.alarms.set(&s.stall, b.Now.Add(c.opts.Limits.Stall), c.ring)
		}
	}
	s.queue.add(p)
	if from == nil {
		s.free += len(p)
	} else {
		s.source = from
	}
	if end {
		s.tail = tailEnd
	}
	if s.sendWindow > 0 {
		c.await(s)
	}
}

// await puts s in line for the connection's window or its socket.
func (c *Conn) await(s *Stream) {
	if !s.ready {
		s.ready = true
		c.ready = append(c.ready, s)
	}
}

// pump sends what is queued on s, up to most bytes. It reports whether s
// could go on as far as its own window is concerned.
func (c *Conn) pump(b *Batch, s *Stream, most int) bool {
	n := min(s.queued(), most, c.room(s), c.peer.maxFrame)
	// The bytes of a second try carry no credit: they go out by themselves.
	from := s.source
	if s.free > 0 {
		n, from = min(n, s.free), nil
	}
	if n > 0 {
		c.writeQueued(s, n, from)
		s.free = max(0, s.free-n)
		s.stuckSince = b.Now
		c.touch(b)
	}
	if s.queued() > 0 {
		return s.sendWindow > 0
	}
	c.sendTail(b, s)
	return false
}

// sendTail sends what follows the queue.
func (c *Conn) sendTail(b *Batch, s *Stream) {
	c.alarms.clear(&s.stall)
	switch s.tail {
	case tailNone, tailEnd:
	case tailTrailers:
		c.writeHeaders(s.id, s.trailers, true)
		s.trailers, s.sentEnd = nil, true
		c.touch(b)
	case tailReset:
		c.reset(b, s, s.resetCode)
		return
	}
	s.tail = tailNone
	c.finish(b, s)
	if s.thenReset && !s.gone {
		c.reset(b, s, s.resetCode)
	}
}

// pumpReady gives the streams that wait for the connection's window or for
// the socket a frame each in turn, as long as there is room for them.
func (c *Conn) pumpReady(b *Batch) {
	for i := 0; i < len(c.ready); i++ {
		if c.sendWindow <= 0 || c.out.len() >= c.opts.Limits.Outbox {
			c.ready = slices.Delete(c.ready, 0, i)
			return
		}
		s := c.ready[i]
		c.ready[i] = nil
		s.ready = false
		if !s.gone && s.queued() > 0 && c.pump(b, s, c.peer.maxFrame) {
			c.await(s)
		}
	}
	c.ready = c.ready[:0]
}

// windowRaised goes on with a stream whose own window has grown.
func (c *Conn) windowRaised(b *Batch, s *Stream) {
	if s.queued() > 0 && s.sendWindow > 0 {
		c.await(s)
		c.pumpReady(b)
	}
}

// bufferedChanged tells the budget what the connection holds: in coarse
// steps while it lives, exactly once it is dead.
func (c *Conn) bufferedChanged() {
	if d := c.buffered - c.reported; d >= budgetGrain || d <= -budgetGrain || c.dead || c.buffered == 0 && d != 0 {
		c.opts.Budget.used.Add(int64(d))
		c.reported = c.buffered
	}
}

// creditLeft notes that n bytes that came in on s have left. It is the only
// way back for credit, so that a sender is as fast as the slower side.
func (c *Conn) creditLeft(b *Batch, s *Stream, n int) {
	c.mu.Lock()
	c.buffered -= n
	c.bufferedChanged()
	if !c.dead {
		if !s.gone && !s.gotEnd {
			s.consumed += int64(n)
			c.creditStream(b, s)
		}
		if c.held {
			c.creditConn(b)
		}
	}
	c.mu.Unlock()
}

// creditStream gives the peer credit for what left, half a window at a time.
// The window of a stream of which nothing is held here doubles: its receiver
// is not what it waits for.
func (c *Conn) creditStream(b *Batch, s *Stream) {
	if 2*s.consumed < s.window || c.dead {
		return
	}
	n := s.consumed
	if held := s.window - s.recvWindow - s.consumed; 4*held <= s.window && c.opts.Budget.roomy() {
		// The limit may be lower than it was when the window grew: see Thaw.
		grow := max(0, min(s.window, int64(c.opts.Limits.MaxWindow)-s.window))
		s.window += grow
		n += grow
	}
	s.consumed = 0
	s.recvWindow += n
	x := c.out.room(frameHeaderLen + 4)
	x.b = appendWindowUpdate(x.b, s.id, n)
	c.touch(b)
}

// creditConn gives the peer credit for what came in on the connection, at
// receipt: so streams that are stuck stop nobody else. Only what the
// connection may buffer bounds it, counting the credit that is out already.
func (c *Conn) creditConn(b *Batch) {
	l := &c.opts.Limits
	if 2*c.received < int64(l.ConnWindow) || c.dead {
		return
	}
	if c.buffered+l.ConnWindow > l.Buffered {
		if !c.held {
			c.held = true
			c.opts.Counters.ConnCreditHeld.Add(1)
		}
		return
	}
	c.held = false
	c.recvWindow += c.received
	x := c.out.room(frameHeaderLen + 4)
	x.b = appendWindowUpdate(x.b, 0, c.received)
	c.received = 0
	c.touch(b)
}
