package h2

import (
	"fmt"
	"time"
)

// parcel is what goes to the socket in one piece.
type parcel struct {
	buf     *buffer // nil when there is nothing
	marks   []mark
	control int // frames in it that answer the peer
}

// mark says that the bytes of a parcel up to here hold n that came in on from.
type mark struct {
	from *Stream
	n    int
}

// outBuffer returns the buffer to append to; wrote must follow.
func (c *Conn) outBuffer() *buffer {
	if c.out.buf == nil {
		c.out.buf = getBuffer()
	}
	c.total -= uint64(len(c.out.buf.b))
	return c.out.buf
}

// wrote accounts for what was appended since outBuffer.
func (c *Conn) wrote(x *buffer) { c.total += uint64(len(x.b)) }

func (c *Conn) outLen() int {
	if c.out.buf == nil {
		return 0
	}
	return len(c.out.buf.b)
}

// touch has the batch flush the connection, unless some batch will anyway.
func (c *Conn) touch(b *Batch) {
	if !c.noted {
		c.noted = true
		b.conns = append(b.conns, c)
	}
}

// flush writes what is queued. On a plain socket it writes what the socket
// takes without waiting; the rest, and everything elsewhere, goes to a
// writer goroutine that lives as long as there is something to write.
func (c *Conn) flush(b *Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noted = false
	for !c.busy && c.out.buf != nil && !c.dead {
		c.load()
		if c.sock == nil {
			c.startWriter(0)
			return
		}
		c.mu.Unlock()
		n, err := c.sock.write(c.writing.buf.b)
		c.mu.Lock()
		switch {
		case err != nil:
			c.writeFailed(b, err)
			return
		case n < len(c.writing.buf.b):
			c.startWriter(n)
			return
		}
		c.unload(b)
	}
}

// load makes what is queued the parcel of the one who writes.
func (c *Conn) load() {
	c.busy = true
	c.handed += uint64(len(c.out.buf.b))
	c.out, c.writing = parcel{marks: c.writing.marks[:0]}, c.out
}

// unload is called when the parcel has left: its bytes are accounted for,
// and streams that waited for the socket have their turn.
func (c *Conn) unload(b *Batch) {
	c.release(b, &c.writing)
	c.busy = false
	c.pumpReady(b)
	c.written()
}

// written tells who waits for it that nothing is left to write.
func (c *Conn) written() {
	if c.allWritten != nil && (c.out.buf == nil || c.dead) {
		close(c.allWritten)
		c.allWritten = nil
	}
}

func (c *Conn) release(b *Batch, p *parcel) {
	for i := range p.marks {
		b.bytesLeft(p.marks[i].from, p.marks[i].n)
		p.marks[i].from = nil
	}
	p.marks = p.marks[:0]
	p.control = 0
	if p.buf != nil {
		putBuffer(p.buf)
		p.buf = nil
	}
}

func (c *Conn) startWriter(off int) {
	c.wg.Add(1)
	go c.write(off)
}

// write is the writer goroutine. It owns the parcel, of which off bytes are gone.
func (c *Conn) write(off int) {
	defer c.wg.Done()
	b := NewBatch()
	for more := true; more; off = 0 {
		err := c.writeParcel(c.writing.buf.b[off:])
		b.Now = time.Now()
		c.mu.Lock()
		if err != nil {
			c.writeFailed(b, err)
			more = false
		} else {
			c.unload(b)
			if more = c.out.buf != nil && !c.dead; more {
				c.load()
			}
		}
		c.mu.Unlock()
		b.Flush()
	}
}

// writeParcel writes p, waiting as long as some of it leaves within the time
// that a stream may be stuck.
func (c *Conn) writeParcel(p []byte) error {
	for len(p) > 0 {
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.opts.Limits.Stall)); err != nil {
			return err
		}
		n, err := c.nc.Write(p[:min(len(p), bufferSize)])
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// writeFailed ends the connection after a write that failed.
func (c *Conn) writeFailed(b *Batch, err error) {
	c.release(b, &c.writing)
	c.busy = false
	c.dead = true
	c.written()
	if c.cause == nil {
		c.cause = fmt.Errorf("write: %w", err)
	}
	c.wake()
}

// writeHeaders appends a header block as HEADERS and, if it is long,
// CONTINUATION frames.
func (c *Conn) writeHeaders(id uint32, fields []Field, end bool) {
	x := c.outBuffer()
	defer c.wrote(x)
	at := len(x.b)
	var flags frameFlags
	if end {
		flags = flagEndStream
	}
	x.b = appendFrameHeader(x.b, 0, frameHeaders, flags|flagEndHeaders, id)
	x.b = c.enc.append(x.b, fields)
	n := len(x.b) - at - frameHeaderLen
	if n > c.peer.maxFrame {
		block := append([]byte(nil), x.b[at+frameHeaderLen:]...)
		x.b = appendBlock(x.b[:at], block, c.peer.maxFrame, flags, id)
	} else {
		x.b[at], x.b[at+1], x.b[at+2] = byte(n>>16), byte(n>>8), byte(n)
	}
	c.answered(2)
}

func appendBlock(dst, block []byte, size int, flags frameFlags, id uint32) []byte {
	t := frameHeaders
	for len(block) > 0 {
		n := min(size, len(block))
		if n == len(block) {
			flags |= flagEndHeaders
		}
		dst = appendFrameHeader(dst, n, t, flags, id)
		dst = append(dst, block[:n]...)
		block = block[n:]
		t, flags = frameContinuation, 0
	}
	return dst
}

// writeReset appends RST_STREAM.
func (c *Conn) writeReset(b *Batch, id uint32, code ErrCode) {
	if c.dead {
		return
	}
	x := c.outBuffer()
	x.b = appendRSTStream(x.b, id, code)
	c.wrote(x)
	c.replied(b)
}

// replied counts a frame that answers the peer, and ends the connection of
// one that makes us answer but does not read.
func (c *Conn) replied(b *Batch) {
	c.out.control++
	if c.out.control+c.writing.control > c.opts.Limits.ControlReplies && c.busy {
		c.opts.Counters.ControlReplies.Add(1)
		c.closeLocked(connError(CodeEnhanceYourCalm, "answers to it are not read"))
		return
	}
	c.touch(b)
}

// answered lets the peer answer what we sent with n frames that carry
// nothing, such as WINDOW_UPDATE and the pings that measure bandwidth.
func (c *Conn) answered(n int) { c.grace = min(c.grace+n, 10000) }

// writeControl appends a frame made by the caller.
func (c *Conn) writeControl(b *Batch, frame []byte) {
	if c.dead {
		return
	}
	x := c.outBuffer()
	x.b = append(x.b, frame...)
	c.wrote(x)
	c.touch(b)
}
