package h2

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// drainState is how far a connection's orderly end has come.
type drainState uint8

const (
	notDraining drainState = iota
	drainNotice            // GOAWAY with the highest id and a PING are sent
	drainLast              // no new streams; the connection ends with the last one
)

// drainAnswer is how long the PING between the two GOAWAY frames may take:
// streams opened by then are served.
const drainAnswer = 5 * time.Second

// Drain ends the connection in order: the peer is told to open no more
// streams (on the server's side with two GOAWAY frames, so that none that is
// under way is lost; RFC 9113, section 6.8), those that are open go on, and
// Serve returns when the last one has ended.
func (c *Conn) Drain(b *Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drainLocked(b)
}

func (c *Conn) drainLocked(b *Batch) {
	switch {
	case c.dead || c.draining != notDraining:
	case !c.server:
		c.draining = drainLast
		if len(c.streams) == 0 {
			c.closeLocked(errDrained)
		}
	case !c.greeted:
		c.draining = drainLast // its SETTINGS and GOAWAY go out together
		c.closeLocked(errDrained)
	default:
		c.draining = drainNotice
		c.writeControl(b, appendPing(appendGoAway(nil, maxStreamID, CodeNo, "draining"), false, drainPing))
		c.alarms.set(&c.drainTimer, b.Now.Add(drainAnswer), c.ring)
	}
}

// drainOn is the second step of a drain.
func (c *Conn) drainOn(b *Batch) {
	c.draining = drainLast
	c.alarms.clear(&c.drainTimer)
	c.writeControl(b, appendGoAway(nil, c.lastAccepted, CodeNo, "draining"))
	if len(c.streams) == 0 {
		c.closeLocked(errDrained)
	}
}

// onKeepalive asks a silent peer for a sign of life while streams are open.
func (c *Conn) onKeepalive(b *Batch) {
	silent := b.Now.Sub(time.Unix(0, c.lastRead.Load()))
	next := c.opts.KeepaliveInterval - silent
	switch {
	case next > 0:
		c.pinged = false
	case c.pinged && b.Now.Sub(c.pingSent) >= c.opts.KeepaliveTimeout:
		c.opts.Counters.KeepaliveLost.Add(1)
		c.closeLocked(errKeepalive)
		return
	case !c.pinged && len(c.streams) > 0:
		c.pinged, c.pingSent = true, b.Now
		c.writeControl(b, appendPing(nil, false, [8]byte{'l', 'o', 'o', 'm'}))
		next = c.opts.KeepaliveTimeout
	case c.pinged:
		next = c.pingSent.Add(c.opts.KeepaliveTimeout).Sub(b.Now)
	default:
		next = c.opts.KeepaliveInterval
	}
	c.alarms.set(&c.keepalive, b.Now.Add(next), c.ring)
}

// shutdown ends every stream, tells the peer why if it should know, and
// closes the connection.
func (c *Conn) shutdown(err error) {
	b := &c.batch
	b.Now = time.Now()
	c.mu.Lock()
	if c.cause == nil {
		c.cause = ErrClosed
		if err != nil {
			c.cause = err
		}
	}
	c.unfreeze()
	ended := c.abandon(b)
	if !c.server && len(ended) > 0 {
		c.release(b, &c.out) // calls that are said not to have been sent
	}
	polite := c.farewell(b, err)
	c.mu.Unlock()
	for _, s := range ended {
		s.tell(b, err)
	}
	c.owner.Changed(b, c)
	b.Flush()
	c.flush(b) // another batch may have promised to, and be late
	if polite {
		c.linger()
	}
	c.mu.Lock()
	c.dead = true
	c.alarms.stop()
	c.release(b, &c.out)
	c.bufferedChanged()
	c.mu.Unlock()
	_ = c.nc.Close()
	c.wg.Wait()
	if c.in != nil {
		putBuffer(c.in)
		c.in = nil
	}
	b.Flush()
}

type endedStream struct {
	s       *Stream
	refused bool
}

func (e endedStream) tell(b *Batch, err error) {
	if err == nil {
		err = errPeerClosed
	}
	end := End{Cause: CauseLost, Code: CodeCancel, Err: err}
	if e.refused {
		end.Cause = CauseRefused
	}
	e.s.recv.Ended(b, end)
}

// abandon takes all streams off the connection.
func (c *Conn) abandon(b *Batch) []endedStream {
	ended := make([]endedStream, 0, len(c.streams))
	for _, s := range c.streams {
		c.remove(b, s, true)
		ended = append(ended, endedStream{s, !c.server && s.offset >= c.handed})
	}
	return ended
}

// farewell queues our last frame, and reports whether the peer should be
// given the time to read it.
func (c *Conn) farewell(b *Batch, err error) bool {
	if c.dead {
		return false
	}
	var last []byte
	ce, fault := errors.AsType[*ConnError](err) // what to tell the peer, if it is its fault
	switch {
	case fault:
		if ce.Code != CodeEnhanceYourCalm {
			c.opts.Counters.ProtocolErrors.Add(1)
		}
		last = appendGoAway(nil, c.lastAccepted, ce.Code, ce.Reason)
	case errors.Is(err, errNotHTTP2):
		last = []byte("HTTP/1.1 415 Unsupported Media Type\r\nContent-Type: text/plain\r\n" +
			"Connection: close\r\n\r\nloom relays gRPC, which needs HTTP/2\n")
	case errors.Is(err, errDrained):
		if !c.began {
			last = appendGoAway(nil, 0, CodeNo, "draining")
		}
	default:
		return false
	}
	if !c.greeted && !errors.Is(err, errNotHTTP2) {
		c.greet() // comes before any other frame
	}
	c.writeControl(b, last)
	return true
}

// linger gives the peer a while to read our last frame.
func (c *Conn) linger() {
	impatient := time.NewTimer(c.opts.Limits.Linger)
	defer impatient.Stop()
	c.mu.Lock()
	var done chan struct{}
	if c.busy && !c.dead {
		done = make(chan struct{})
		c.allWritten = done
	}
	c.mu.Unlock()
	if done != nil {
		select {
		case <-done:
		case <-impatient.C:
			return
		}
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(c.opts.Limits.Linger))
	// As much as a peer can have under way with the windows that it has.
	readOut(c.nc, int64(c.opts.Limits.ConnWindow)+bufferSize)
}

// isEOF reports whether a read or a write failed because the peer closed the
// connection.
func isEOF(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// isAlert reports whether the peer's TLS layer said why it ended.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// Refuse tells a peer that has just connected that it gets no connection,
// and closes nc. It takes as long as the peer needs to go, a second at most.
func Refuse(nc net.Conn, reason string) {
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(time.Second))
	frames := appendFrameHeader(nil, 0, frameSettings, 0, 0)
	if _, err := nc.Write(appendGoAway(frames, 0, CodeNo, reason)); err == nil {
		readOut(nc, bufferSize)
	}
}

// readOut sends FIN and reads on to the peer's: closing a socket with unread
// input destroys what the peer has not read yet.
func readOut(nc net.Conn, most int64) {
	if w, ok := nc.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, nc, most)
	}
}
