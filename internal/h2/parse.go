package h2

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// openBlock is a header block of which END_HEADERS has not come yet.
type openBlock struct {
	id            uint32 // 0 when there is none
	end           bool   // END_STREAM was set
	selfish       bool   // its priority makes the stream depend on itself
	continuations int
}

// parse takes the complete frames out of what was read. What is left is the
// beginning of a frame.
func (c *Conn) parse(b *Batch) error {
	if !c.began {
		if err := c.parsePreface(b); err != nil || !c.began {
			return err
		}
	}
	for {
		p := c.in.b[c.inAt:]
		if len(p) < frameHeaderLen {
			return nil
		}
		h := parseFrameHeader(p)
		if h.length > maxFrameSize {
			return connError(CodeFrameSize, "a frame larger than SETTINGS_MAX_FRAME_SIZE")
		}
		n := frameHeaderLen + h.length
		if len(p) < n {
			return nil
		}
		c.inAt += n
		if err := c.onFrame(b, h, p[frameHeaderLen:n]); err != nil {
			return err
		}
	}
}

func (c *Conn) parsePreface(b *Batch) error {
	p := c.in.b[c.inAt:]
	n := min(len(p), len(preface))
	if string(p[:n]) != preface[:n] {
		if looksLikeHTTP1(p) {
			return errNotHTTP2
		}
		return connError(CodeProtocol, "no HTTP/2 preface")
	}
	if n == len(preface) {
		c.inAt += n
		c.began = true
		c.mu.Lock()
		c.greet()
		c.touch(b)
		c.mu.Unlock()
	}
	return nil
}

func looksLikeHTTP1(p []byte) bool {
	for _, m := range []string{"GET ", "POST ", "HEAD ", "PUT ", "OPTIONS ", "DELETE ", "PATCH ", "CONNECT "} {
		if bytes.HasPrefix(p, []byte(m)) {
			return true
		}
	}
	return false
}

// onFrame handles one frame. A fault of a single stream is dealt with here.
func (c *Conn) onFrame(b *Batch, h frameHeader, p []byte) error {
	err := c.dispatch(b, h, p)
	if err == nil {
		return nil // nearly always, and cheaper than to search nothing
	}
	if se, ok := errors.AsType[*streamError](err); ok {
		return c.onStreamError(b, se)
	}
	return err
}

func (c *Conn) dispatch(b *Batch, h frameHeader, p []byte) error {
	if c.block.id != 0 && (h.typ != frameContinuation || h.id != c.block.id) {
		return connError(CodeProtocol, "a frame inside a header block")
	}
	if !c.settled && (h.typ != frameSettings || h.flags&flagAck != 0) {
		return connError(CodeProtocol, "the first frame is not SETTINGS")
	}
	switch h.typ {
	case frameData:
		return c.onData(b, h, p)
	case frameHeaders:
		return c.onHeaders(b, h, p)
	case frameContinuation:
		return c.onContinuation(b, h, p)
	case framePriority:
		return c.onPriority(b, h, p)
	case frameRSTStream:
		return c.onReset(b, h, p)
	case frameSettings:
		return c.onSettings(b, h, p)
	case framePing:
		return c.onPing(b, h, p)
	case frameGoAway:
		return c.onGoAway(b, h, p)
	case frameWindowUpdate:
		return c.onWindowUpdate(b, h, p)
	case framePushPromise:
		return connError(CodeProtocol, "PUSH_PROMISE, which we do not allow")
	default:
		return c.onNoise(b) // RFC 9113, section 5.5: unknown types are ignored
	}
}

// onNoise counts a frame that carries nothing.
func (c *Conn) onNoise(b *Batch) error {
	if c.noise.take(b.Now) {
		return nil
	}
	c.opts.Counters.Noise.Add(1)
	return connError(CodeEnhanceYourCalm, "too many frames that carry nothing")
}

// onReply is onNoise for a frame that may answer something of ours.
func (c *Conn) onReply(b *Batch) error {
	c.mu.Lock()
	free := c.grace > 0
	if free {
		c.grace--
	}
	c.mu.Unlock()
	if free {
		return nil
	}
	return c.onNoise(b)
}

// onStreamError resets a stream for a fault of the peer.
func (c *Conn) onStreamError(b *Batch, e *streamError) error {
	c.opts.Counters.StreamErrors.Add(1)
	if !c.ownResets.take(b.Now) {
		c.opts.Counters.OwnResets.Add(1)
		return connError(CodeEnhanceYourCalm, "too many faults: "+e.reason)
	}
	c.mu.Lock()
	s := c.streams[e.id]
	if s == nil {
		c.recent.add(e.id, true)
		c.writeReset(b, e.id, e.code)
		c.mu.Unlock()
		return nil
	}
	c.reset(b, s, e.code)
	c.mu.Unlock()
	s.recv.Ended(b, End{Cause: CauseFault, Code: e.code, Fault: e.reason})
	return nil
}

// idle reports whether stream id was never opened.
func (c *Conn) idle(id uint32) bool {
	if c.server {
		return id%2 == 0 || id > c.lastSeen
	}
	return id%2 == 0 || id >= c.nextID
}

func (c *Conn) onData(b *Batch, h frameHeader, p []byte) error {
	if h.id == 0 {
		return connError(CodeProtocol, "DATA on stream 0")
	}
	data, ok := unpad(h.flags, p)
	if !ok {
		return connError(CodeProtocol, "DATA with more padding than frame")
	}
	end := h.flags&flagEndStream != 0
	if len(data) == 0 && !end {
		if err := c.onNoise(b); err != nil {
			return err
		}
	}
	c.mu.Lock()
	s, err := c.takeData(b, h.id, len(p), len(data), end)
	c.mu.Unlock()
	if err != nil || s == nil {
		return err
	}
	if len(p) > len(data) {
		b.bytesLeft(s, len(p)-len(data))
	}
	s.recv.Data(b, s, data, end)
	return nil
}

// takeData accounts for a DATA frame with size bytes of payload. It returns
// nil and no error for a stream that we reset.
func (c *Conn) takeData(b *Batch, id uint32, size, data int, end bool) (*Stream, error) {
	if int64(size) > c.recvWindow {
		return nil, connError(CodeFlowControl, "DATA beyond the connection's window")
	}
	c.recvWindow -= int64(size)
	c.received += int64(size)
	s := c.streams[id]
	if s == nil {
		c.creditConn(b)
		return nil, c.closedStream(id)
	}
	c.buffered += size
	c.bufferedChanged()
	c.creditConn(b)
	fault := func(code ErrCode, reason string) (*Stream, error) {
		c.buffered -= size
		return nil, &streamError{id, code, reason}
	}
	switch {
	case s.gotEnd:
		return fault(CodeStreamClosed, "DATA after END_STREAM")
	case !s.gotHead:
		return fault(CodeProtocol, "DATA before HEADERS")
	case int64(size) > s.recvWindow:
		return fault(CodeFlowControl, "DATA beyond the stream's window")
	}
	s.recvWindow -= int64(size)
	s.received += int64(data)
	if s.length >= 0 && (s.received > s.length || end && s.received != s.length) {
		return fault(CodeProtocol, "DATA that does not add up to content-length")
	}
	c.ended(b, s, end)
	return s, nil
}

// closedStream says what a frame for a stream that is not open means.
func (c *Conn) closedStream(id uint32) error {
	if c.idle(id) {
		return connError(CodeProtocol, "a frame for a stream that was never opened")
	}
	if reset, ok := c.recent.find(id); reset || !ok || !c.server {
		return nil // it was under way when we reset the stream, or ended it
	}
	return &streamError{id, CodeStreamClosed, "a frame for a closed stream"}
}

func (c *Conn) onReset(b *Batch, h frameHeader, p []byte) error {
	if len(p) != 4 {
		return connError(CodeFrameSize, "RST_STREAM of a length that is not 4")
	}
	if h.id == 0 {
		return connError(CodeProtocol, "RST_STREAM on stream 0")
	}
	code := ErrCode(binary.BigEndian.Uint32(p))
	c.mu.Lock()
	s := c.streams[h.id]
	if s == nil {
		idle := c.idle(h.id)
		c.mu.Unlock()
		if idle {
			return connError(CodeProtocol, "RST_STREAM for a stream that was never opened")
		}
		return c.onReply(b)
	}
	early := c.server && !s.sentHead && b.Now.Sub(s.opened) < earlyReset
	c.remove(b, s, false)
	c.mu.Unlock()
	cause := CausePeer
	if !c.server && code == CodeRefusedStream {
		cause = CauseRefused
	}
	s.recv.Ended(b, End{Cause: cause, Code: code})
	if early && !c.earlyResets.take(b.Now) {
		c.opts.Counters.EarlyResets.Add(1)
		return connError(CodeEnhanceYourCalm, "too many streams reset as soon as they were opened")
	}
	return nil
}

func (c *Conn) onWindowUpdate(b *Batch, h frameHeader, p []byte) error {
	if len(p) != 4 {
		return connError(CodeFrameSize, "WINDOW_UPDATE of a length that is not 4")
	}
	if err := c.onReply(b); err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint32(p) & maxWindow)
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.id == 0 {
		if n == 0 {
			return connError(CodeProtocol, "WINDOW_UPDATE of 0")
		}
		if c.sendWindow += n; c.sendWindow > maxWindow {
			return connError(CodeFlowControl, "the connection's window over 2^31-1")
		}
		c.pumpReady(b)
		return nil
	}
	s := c.streams[h.id]
	switch {
	case s == nil && c.idle(h.id):
		return connError(CodeProtocol, "WINDOW_UPDATE for a stream that was never opened")
	case s == nil:
		return nil
	case n == 0:
		return &streamError{h.id, CodeProtocol, "WINDOW_UPDATE of 0"}
	}
	if s.sendWindow += n; s.sendWindow > maxWindow {
		return &streamError{h.id, CodeFlowControl, "the stream's window over 2^31-1"}
	}
	c.windowRaised(b, s)
	return nil
}

func (c *Conn) onPriority(b *Batch, h frameHeader, p []byte) error {
	if h.id == 0 {
		return connError(CodeProtocol, "PRIORITY on stream 0")
	}
	if len(p) != 5 {
		return &streamError{h.id, CodeFrameSize, "PRIORITY of a length that is not 5"}
	}
	if binary.BigEndian.Uint32(p)&maxStreamID == h.id {
		return &streamError{h.id, CodeProtocol, "a stream that depends on itself"}
	}
	return c.onNoise(b)
}
