package h2

import (
	"encoding/binary"
	"time"
)

// earlyReset is how soon after opening a reset counts as an attack's (the
// rapid reset, CVE-2023-44487): callers that give up that soon are rare.
const earlyReset = time.Second

func (c *Conn) onHeaders(b *Batch, h frameHeader, p []byte) error {
	if h.id == 0 {
		return connError(CodeProtocol, "HEADERS on stream 0")
	}
	p, ok := unpad(h.flags, p)
	if !ok {
		return connError(CodeProtocol, "HEADERS with more padding than frame")
	}
	block := openBlock{id: h.id, end: h.flags&flagEndStream != 0}
	if h.flags&flagPriority != 0 {
		if len(p) < 5 {
			return connError(CodeFrameSize, "HEADERS too short for their priority")
		}
		block.selfish = binary.BigEndian.Uint32(p)&maxStreamID == h.id
		p = p[5:]
	}
	if h.flags&flagEndHeaders == 0 {
		c.block = block
		c.dec.begin()
		return c.onFragment(b, h, p)
	}
	hb, err := c.dec.whole(p)
	if err != nil {
		return err
	}
	return c.onBlock(b, block, hb)
}

func (c *Conn) onContinuation(b *Batch, h frameHeader, p []byte) error {
	if c.block.id == 0 {
		return connError(CodeProtocol, "CONTINUATION without HEADERS")
	}
	if c.block.continuations++; c.block.continuations > c.opts.Limits.Continuations {
		c.opts.Counters.Continuations.Add(1)
		return connError(CodeEnhanceYourCalm, "too many CONTINUATION frames")
	}
	return c.onFragment(b, h, p)
}

func (c *Conn) onFragment(b *Batch, h frameHeader, p []byte) error {
	if err := c.dec.fragment(p); err != nil {
		return err
	}
	if c.dec.flood() {
		return c.headerFlood()
	}
	if h.flags&flagEndHeaders == 0 {
		return nil
	}
	hb, err := c.dec.end()
	if err != nil {
		return err
	}
	block := c.block
	c.block.id = 0
	return c.onBlock(b, block, hb)
}

// headerFlood counts a header list so large that the connection ends.
func (c *Conn) headerFlood() error {
	c.opts.Counters.HeaderFloods.Add(1)
	return connError(CodeEnhanceYourCalm, "a header list far too large")
}

// onBlock handles a complete header block.
func (c *Conn) onBlock(b *Batch, block openBlock, hb *headerBlock) error {
	if hb.flood {
		return c.headerFlood()
	}
	if hb.oversize {
		c.opts.Counters.HeaderLists.Add(1)
	}
	c.mu.Lock()
	s := c.streams[block.id]
	c.mu.Unlock()
	switch {
	case s == nil && c.server:
		return c.onRequest(b, block, hb)
	case block.selfish:
		return &streamError{block.id, CodeProtocol, "a stream that depends on itself"}
	case s == nil:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.closedStream(block.id)
	case s.gotHead:
		return c.onTrailers(b, s, block, hb)
	default:
		return c.onResponse(b, s, block, hb)
	}
}

// onRequest opens a stream for the peer.
func (c *Conn) onRequest(b *Batch, block openBlock, hb *headerBlock) error {
	if err := c.mayOpen(block.id); err != nil {
		return err
	}
	kind, fault := BlockOversize, ""
	if !hb.oversize {
		hb.check(checkedRequest)
		kind, fault = BlockHeaders, hb.fault
	}
	if block.selfish {
		fault = "a stream that depends on itself"
	}
	c.mu.Lock()
	again := c.lastSeen >= block.id
	c.lastSeen = max(c.lastSeen, block.id)
	if again || c.draining == drainLast {
		// After the last GOAWAY the peer tries elsewhere; what still comes
		// for the stream is ignored.
		c.recent.add(block.id, true)
		c.mu.Unlock()
		return nil
	}
	c.lastAccepted = block.id
	// Answers that the socket does not take are as bad as calls that stay open.
	full := len(c.streams) >= c.opts.Limits.Streams || c.out.len() > 4*c.opts.Limits.Outbox
	c.mu.Unlock()
	if fault != "" {
		return &streamError{block.id, CodeProtocol, fault}
	}
	if full {
		c.opts.Counters.StreamsRefused.Add(1)
		return &streamError{block.id, CodeRefusedStream, "more streams than SETTINGS_MAX_CONCURRENT_STREAMS"}
	}
	if block.end && hb.length > 0 {
		return &streamError{block.id, CodeProtocol, "a content-length without DATA"}
	}
	s, recv := c.owner.Accept(b, c)
	c.mu.Lock()
	c.register(b, s, recv, block.id)
	s.gotHead, s.gotEnd, s.length = true, block.end, hb.length
	c.mu.Unlock()
	recv.Headers(b, kind, hb.fields, block.end)
	return nil
}

// mayOpen checks the identifier of a block for a stream that is not open.
func (c *Conn) mayOpen(id uint32) error {
	if id%2 == 0 {
		return connError(CodeProtocol, "a stream with an even identifier")
	}
	if id > c.lastSeen {
		return nil
	}
	c.mu.Lock()
	reset, ok := c.recent.find(id)
	c.mu.Unlock()
	switch {
	case reset:
		return nil // trailers that were under way when we reset the stream
	case ok:
		return connError(CodeStreamClosed, "HEADERS on a closed stream")
	default:
		return connError(CodeProtocol, "a stream identifier lower than the last")
	}
}

func (c *Conn) onResponse(b *Batch, s *Stream, block openBlock, hb *headerBlock) error {
	if hb.oversize {
		return &streamError{block.id, CodeProtocol, "a header list larger than SETTINGS_MAX_HEADER_LIST_SIZE"}
	}
	hb.check(checkedResponse)
	switch {
	case hb.fault != "":
		return &streamError{block.id, CodeProtocol, hb.fault}
	case hb.interim && block.end:
		return &streamError{block.id, CodeProtocol, "an interim response that ends the stream"}
	case hb.interim:
		if err := c.onReply(b); err != nil {
			return err
		}
		s.recv.Headers(b, BlockInterim, hb.fields, false)
		return nil
	}
	c.mu.Lock()
	c.answeredOnce = true
	s.gotHead, s.length = true, hb.length
	c.ended(b, s, block.end)
	c.mu.Unlock()
	s.recv.Headers(b, BlockHeaders, hb.fields, block.end)
	return nil
}

func (c *Conn) onTrailers(b *Batch, s *Stream, block openBlock, hb *headerBlock) error {
	hb.check(checkedTrailers)
	c.mu.Lock()
	gotEnd, short := s.gotEnd, s.length > s.received
	c.mu.Unlock()
	switch {
	case gotEnd:
		return &streamError{block.id, CodeStreamClosed, "HEADERS after END_STREAM"}
	case !block.end:
		return &streamError{block.id, CodeProtocol, "a second header block that does not end the stream"}
	case hb.oversize:
		return &streamError{block.id, CodeProtocol, "trailers larger than SETTINGS_MAX_HEADER_LIST_SIZE"}
	case hb.fault != "":
		return &streamError{block.id, CodeProtocol, hb.fault}
	case short:
		return &streamError{block.id, CodeProtocol, "DATA that does not add up to content-length"}
	}
	c.mu.Lock()
	c.ended(b, s, true)
	c.mu.Unlock()
	s.recv.Headers(b, BlockTrailers, hb.fields, true)
	return nil
}

// ended notes END_STREAM of the peer.
func (c *Conn) ended(b *Batch, s *Stream, end bool) {
	if end {
		s.gotEnd = true
		c.finish(b, s)
	}
}
