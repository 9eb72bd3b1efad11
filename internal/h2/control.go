package h2

import (
	"encoding/binary"
	"fmt"
)

func (c *Conn) onSettings(b *Batch, h frameHeader, p []byte) error {
	if h.id != 0 {
		return connError(CodeProtocol, "SETTINGS on a stream")
	}
	if h.flags&flagAck != 0 {
		return c.onSettingsAck(p)
	}
	if c.settled {
		if err := c.onNoise(b); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before, first := c.peer, !c.settled
	if first {
		c.peer.maxStreams = maxStreamID // no limit unless these settings set one
	}
	if err := c.peer.apply(p); err != nil {
		return err
	}
	c.settled = true
	if c.peer.leastTable < before.headerTable {
		c.enc.setTable(c.peer.leastTable) // passing smallness counts (RFC 7541, section 4.2)
	}
	if c.peer.headerTable != before.headerTable || c.peer.leastTable < before.headerTable {
		c.enc.setTable(c.peer.headerTable)
	}
	if !c.dead {
		// Before any DATA that the new windows allow (RFC 9113, section 6.5.3).
		x := c.out.room(frameHeaderLen)
		x.b = appendFrameHeader(x.b, 0, frameSettings, flagAck, 0)
		c.replied(b)
	}
	if c.wanted || first {
		c.wanted = false
		b.changed = append(b.changed, c)
	}
	return c.moveWindows(b, c.peer.initialWindow-before.initialWindow)
}

func (c *Conn) onSettingsAck(p []byte) error {
	if len(p) != 0 {
		return connError(CodeFrameSize, "a SETTINGS ACK that is not empty")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unacked == 0 {
		return connError(CodeProtocol, "a SETTINGS ACK for none of ours")
	}
	c.unacked--
	c.alarms.clear(&c.start)
	return nil
}

// moveWindows changes the windows of all streams by d, as a new
// SETTINGS_INITIAL_WINDOW_SIZE does (RFC 9113, section 6.9.2).
func (c *Conn) moveWindows(b *Batch, d int64) error {
	if d == 0 {
		return nil
	}
	for _, s := range c.streams {
		if s.sendWindow += d; s.sendWindow > maxWindow {
			return connError(CodeFlowControl, "a stream's window over 2^31-1")
		}
		c.windowRaised(b, s)
	}
	return nil
}

// drainPing marks the PING between the two GOAWAY frames of a drain.
var drainPing = [8]byte{'l', 'o', 'o', 'm', 'd', 'r', 'n', 1}

func (c *Conn) onPing(b *Batch, h frameHeader, p []byte) error {
	if len(p) != 8 {
		return connError(CodeFrameSize, "PING of a length that is not 8")
	}
	if h.id != 0 {
		return connError(CodeProtocol, "PING on a stream")
	}
	if err := c.onReply(b); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.flags&flagAck != 0 {
		if [8]byte(p) == drainPing && c.draining == drainNotice {
			c.drainOn(b)
		}
		c.pinged = false
		return nil
	}
	if c.dead {
		return nil
	}
	x := c.out.room(frameHeaderLen + 8)
	x.b = appendPing(x.b, true, [8]byte(p))
	c.replied(b)
	return nil
}

func (c *Conn) onGoAway(b *Batch, h frameHeader, p []byte) error {
	if h.id != 0 {
		return connError(CodeProtocol, "GOAWAY on a stream")
	}
	if len(p) < 8 {
		return connError(CodeFrameSize, "GOAWAY shorter than 8")
	}
	if err := c.onReply(b); err != nil {
		return err
	}
	last := binary.BigEndian.Uint32(p) & maxStreamID
	code := ErrCode(binary.BigEndian.Uint32(p[4:]))
	why := ErrDraining
	if code != CodeNo {
		why = fmt.Errorf("the peer sent GOAWAY %s %q", code, p[8:min(len(p), 8+128)])
	}
	var refused []*Stream
	c.mu.Lock()
	c.goneAway = true
	for id, s := range c.streams {
		if !c.server && id > last {
			refused = append(refused, s)
		}
	}
	for _, s := range refused {
		c.remove(b, s, true)
	}
	if !c.server && len(c.streams) == 0 {
		c.closeLocked(errDrained)
	}
	if c.draining == notDraining && !c.server {
		c.draining = drainLast
	}
	c.mu.Unlock()
	for _, s := range refused {
		s.recv.Ended(b, End{Cause: CauseRefused, Code: CodeRefusedStream, Err: why})
	}
	c.owner.Changed(b, c)
	return nil
}

// onAlarm runs on a goroutine of the runtime's when an alarm may be due.
func (c *Conn) onAlarm() {
	c.mu.Lock()
	if c.dead || c.freeze != nil {
		c.mu.Unlock()
		return
	}
	c.wg.Add(1)
	c.ringing++
	c.mu.Unlock()
	defer c.wg.Done()
	b := NewBatch()
	for {
		c.mu.Lock()
		a := c.alarms.due(b.Now)
		if a == nil {
			c.alarms.fired(c.ring)
			c.mu.Unlock()
			break
		}
		tell := c.onDue(b, a)
		c.mu.Unlock()
		if tell != nil {
			tell(b)
		}
	}
	b.Flush()
	c.mu.Lock()
	c.ringing--
	c.stopping()
	c.mu.Unlock()
}

// onDue does what is due under the lock and returns what is to be done without it.
func (c *Conn) onDue(b *Batch, a *alarm) (tell func(*Batch)) {
	switch s := a.stream; a.kind {
	case alarmDeadline:
		return s.recv.Expired
	case alarmStall:
		return c.onStall(b, s)
	case alarmPreface:
		c.opts.Counters.PrefaceTimeouts.Add(1)
		if c.settled {
			c.closeLocked(connError(CodeSettingsTimeout, "our SETTINGS were not acknowledged"))
		} else {
			c.closeLocked(errPrefaceTimeout)
		}
	case alarmKeepalive:
		c.onKeepalive(b)
	case alarmDrain:
		if c.draining == drainNotice {
			c.drainOn(b)
		}
	case alarmAge:
		c.onAge(b)
	case alarmIdle:
		c.onIdle(b)
	}
	return nil
}

func (c *Conn) onStall(b *Batch, s *Stream) (tell func(*Batch)) {
	due := s.stuckSince.Add(c.opts.Limits.Stall)
	if s.gone || s.queued() == 0 {
		return nil
	}
	if due.After(b.Now) {
		c.alarms.set(&s.stall, due, c.ring)
		return nil
	}
	c.opts.Counters.Stalls.Add(1)
	c.reset(b, s, CodeCancel)
	return func(b *Batch) { s.recv.Ended(b, End{Cause: CauseStall, Code: CodeCancel}) }
}
