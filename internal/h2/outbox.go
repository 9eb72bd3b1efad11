package h2

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// parcel is what goes to the socket in one piece.
type parcel struct {
	bufs    []*buffer
	marks   []mark
	control int // frames in it that answer the peer
}

// mark says that a parcel holds n bytes that came in on from, anywhere in it.
type mark struct {
	from *Stream
	n    int
}

func (p *parcel) empty() bool { return len(p.bufs) == 0 }

func (p *parcel) len() int {
	n := 0
	for _, x := range p.bufs {
		n += len(x.b)
	}
	return n
}

// pieces returns the bytes, as they lie in memory.
func (p *parcel) pieces() [][]byte {
	pieces := make([][]byte, 0, len(p.bufs))
	for _, x := range p.bufs {
		pieces = append(pieces, x.b[x.at:])
	}
	return pieces
}

// room returns the buffer that the next n bytes are appended to.
func (p *parcel) room(n int) *buffer {
	if k := len(p.bufs) - 1; k >= 0 && cap(p.bufs[k].b)-len(p.bufs[k].b) >= n {
		return p.bufs[k]
	}
	x := getBuffer()
	if n > cap(x.b) {
		putBuffer(x)
		x = &buffer{b: make([]byte, 0, n)}
	}
	p.bufs = append(p.bufs, x)
	return x
}

// next returns what is to be written next, or nil.
func (p *parcel) next() []byte {
	if p.empty() {
		return nil
	}
	return p.bufs[0].b[p.bufs[0].at:]
}

// wrote takes n bytes off the front.
func (p *parcel) wrote(n int) {
	x := p.bufs[0]
	if x.at += n; x.at == len(x.b) {
		copy(p.bufs, p.bufs[1:])
		p.bufs[len(p.bufs)-1] = nil
		p.bufs = p.bufs[:len(p.bufs)-1]
		putBuffer(x)
	}
}

// touch has the batch flush the connection, unless some batch will anyway.
func (c *Conn) touch(b *Batch) {
	if !c.noted {
		c.noted = true
		b.conns = append(b.conns, c)
	}
}

// flush writes what is queued. On a plain socket, and TLS on one, it writes
// what the socket takes without waiting; the rest, and everything elsewhere,
// goes to a writer goroutine that lives as long as there is something to write.
func (c *Conn) flush(b *Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noted = false
	for !c.busy && (!c.out.empty() || c.blocked()) && !c.dead {
		c.load()
		if c.sock == nil {
			c.startWriter()
			return
		}
		c.mu.Unlock()
		err := c.writeNow()
		c.mu.Lock()
		switch {
		case err != nil, c.dead:
			c.writeFailed(b, err)
			return
		case !c.writing.empty(), c.sock.blocked():
			c.startWriter()
			return
		}
		c.unload(b)
	}
}

// writeNow writes what the socket takes without waiting.
func (c *Conn) writeNow() error {
	for !c.writing.empty() {
		p := c.writing.next()
		n, err := c.sock.write(p)
		if err != nil {
			return err
		}
		c.writing.wrote(n)
		if n < len(p) {
			return nil
		}
	}
	return nil
}

// load makes what is queued the parcel of the one who writes.
func (c *Conn) load() {
	c.busy = true
	c.handed += uint64(c.out.len())
	c.out, c.writing = parcel{bufs: c.writing.bufs[:0], marks: c.writing.marks[:0]}, c.out
}

// unload is called when the parcel has left: its bytes are accounted for,
// and streams that waited for the socket have their turn.
func (c *Conn) unload(b *Batch) {
	c.release(b, &c.writing)
	c.busy = false
	c.pumpReady(b)
	c.written()
	if c.wantsRoom && c.out.len() <= 4*c.opts.Limits.Outbox {
		c.wantsRoom = false
		b.changed = append(b.changed, c)
	}
	if c.freeze != nil {
		c.handOver()
	}
}

// written tells who waits for it that nothing is left to write.
func (c *Conn) written() {
	if c.allWritten != nil && (c.out.empty() || c.dead) {
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
	for i, x := range p.bufs {
		putBuffer(x)
		p.bufs[i] = nil
	}
	p.bufs = p.bufs[:0]
}

func (c *Conn) startWriter() {
	if c.freeze != nil {
		c.handOver()
		return
	}
	c.wg.Add(1)
	go c.write()
}

// write is the writer goroutine. It owns the parcel under way.
func (c *Conn) write() {
	defer c.wg.Done()
	b := NewBatch()
	for more := true; more; {
		err := c.writeParcel()
		b.Now = time.Now()
		c.mu.Lock()
		switch {
		case errors.Is(err, errPausing):
			if c.freeze != nil {
				c.handOver()
				more = false
			}
		case err != nil:
			c.writeFailed(b, err)
			more = false
		default:
			c.unload(b)
			if more = !c.busy && !c.out.empty() && !c.dead; more {
				c.load()
			}
		}
		c.mu.Unlock()
		b.Flush()
	}
}

// writeParcel writes the parcel, waiting as long as some of it leaves within
// the time that a stream may be stuck. It returns errPausing when it is to stop.
func (c *Conn) writeParcel() error {
	for !c.writing.empty() || c.blocked() {
		by := time.Now().Add(c.opts.Limits.Stall)
		if err := c.boundWrite(by); err != nil {
			return err
		}
		err := c.writePiece()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if time.Now().Before(by) {
				continue // it was cut short by a pause
			}
			c.opts.Counters.Stalls.Add(1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// boundWrite sets until when the next piece has to leave.
func (c *Conn) boundWrite(by time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.freeze != nil {
		return errPausing
	}
	return c.nc.SetWriteDeadline(by)
}

// blocked reports whether encrypted bytes wait for the socket.
func (c *Conn) blocked() bool { return c.sock != nil && c.sock.blocked() }

// writePiece writes some of the parcel, and may wait for it. With TLS it waits
// only between two records: while one is written, who reads cannot answer what
// the TLS layer is asked.
func (c *Conn) writePiece() error {
	if c.blocked() {
		return c.sock.wire.flush()
	}
	var n int
	var err error
	if c.sock != nil && c.sock.tls != nil {
		n, err = c.sock.write(c.writing.next())
	} else {
		n, err = c.nc.Write(c.writing.next())
	}
	c.writing.wrote(n)
	return err
}

// writeFailed ends the connection after a write that failed. What the peer
// said before it went is still read: answers may be among it.
func (c *Conn) writeFailed(b *Batch, err error) {
	c.release(b, &c.writing)
	c.busy = false
	c.dead = true
	c.written()
	if c.cause == nil {
		c.cause = fmt.Errorf("write: %w", err)
		if isEOF(err) {
			c.cause = errPeerClosed
		}
		_ = c.nc.SetReadDeadline(time.Now().Add(c.opts.Limits.Linger))
	}
	c.unfreeze()
}

// writeHeaders appends a header block as HEADERS and, if it is long,
// CONTINUATION frames.
func (c *Conn) writeHeaders(id uint32, fields []Field, end bool) {
	c.answered(2)
	var flags frameFlags
	if end {
		flags = flagEndStream
	}
	if raw := c.enc.known(fields); raw != nil {
		x := c.out.room(frameHeaderLen + len(raw))
		x.b = appendFrameHeader(x.b, len(raw), frameHeaders, flags|flagEndHeaders, id)
		x.b = append(x.b, raw...)
		return
	}
	x := c.out.room(frameHeaderLen + encodedBound(fields))
	at := len(x.b)
	x.b = appendFrameHeader(x.b, 0, frameHeaders, flags|flagEndHeaders, id)
	x.b = c.enc.append(x.b, fields)
	n := len(x.b) - at - frameHeaderLen
	if n > c.peer.maxFrame {
		block := append([]byte(nil), x.b[at+frameHeaderLen:]...)
		x.b = appendBlock(x.b[:at], block, c.peer.maxFrame, flags, id)
		return
	}
	x.b[at], x.b[at+1], x.b[at+2] = byte(n>>16), byte(n>>8), byte(n)
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
	x := c.out.room(frameHeaderLen + 4)
	x.b = appendRSTStream(x.b, id, code)
	c.replied(b)
}

// replied counts a frame that answers the peer, and ends the connection of
// one that makes us answer but does not read.
func (c *Conn) replied(b *Batch) {
	if c.cause != nil {
		return
	}
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
func (c *Conn) answered(n int) { c.grace = min(c.grace+n, mostGrace) }

// mostGrace bounds the answers that a peer can save up.
const mostGrace = 10000

// writeControl appends a frame made by the caller.
func (c *Conn) writeControl(b *Batch, frame []byte) {
	if c.dead {
		return
	}
	x := c.out.room(len(frame))
	x.b = append(x.b, frame...)
	c.touch(b)
}
