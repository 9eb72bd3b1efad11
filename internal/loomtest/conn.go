package loomtest

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// DefaultCapacity is how many bytes a direction of a connection made by a
// Listener holds before writes block: about what a fresh socket takes.
const DefaultCapacity = 64 << 10

// Conn is one end of a connection in memory. It behaves as a TCP connection
// does, buffering included, with the timing left out; net.Pipe, which makes
// every write wait for its read, hides the mistakes that buffers bring about.
//
// Where TCP leaves room, Conn takes the harsh reading: closing an end while
// input is unread destroys what the other end has not read yet, as an RST on
// its way may do. All methods may be called concurrently.
type Conn struct {
	// immutable
	in, out       *pipe
	local, remote net.Addr
	closed        sync.Once
	onClose       func() // called once, when this end is closed or cut
}

// addr names an end of a connection or a Listener.
type addr string

func (a addr) Network() string { return "mem" }
func (a addr) String() string  { return string(a) }

// Pipe returns the two ends of a connection. The capacities, in bytes, are
// those of the direction from a to b and of the one back; a direction without
// capacity takes nothing at all until SetWriteCapacity gives it some.
func Pipe(aToB, bToA int) (a, b *Conn) {
	return pipeBetween(addr("mem-a"), addr("mem-b"), aToB, bToA)
}

func pipeBetween(a, b net.Addr, aToB, bToA int) (*Conn, *Conn) {
	there, back := newPipe(aToB), newPipe(bToA)
	return &Conn{in: back, out: there, local: a, remote: b},
		&Conn{in: there, out: back, local: b, remote: a}
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.wrap("read", err)
}

// Write implements net.Conn. It blocks while the direction is full.
func (c *Conn) Write(b []byte) (int, error) {
	n, spent, err := c.out.write(b)
	if spent {
		c.breakOff(true)
	}
	return n, c.wrap("write", err)
}

// Close implements net.Conn. The other end reads what is buffered and then
// EOF, unless this end leaves input unread: then it gets a connection reset.
func (c *Conn) Close() error {
	err := c.wrap("close", net.ErrClosed)
	c.closed.Do(func() {
		err = nil
		if unread := c.in.closeReader(); unread {
			c.out.breakOff(false)
		}
		c.out.closeWriter()
		c.done()
	})
	return err
}

// CloseWrite ends this direction: the other end reads what is buffered, then
// EOF. Reading goes on.
func (c *Conn) CloseWrite() error {
	return c.wrap("close", c.out.finish())
}

// Cut breaks the connection off at once: what is buffered is lost, the other
// end gets a connection reset, and this end is closed.
func (c *Conn) Cut() { c.cut(false) }

// CutDelivered is Cut, except that the other end first reads what is buffered
// for it.
func (c *Conn) CutDelivered() { c.cut(true) }

func (c *Conn) cut(deliver bool) {
	c.breakOff(deliver)
	c.closed.Do(func() {
		c.in.closeReader()
		c.out.closeWriter()
		c.done()
	})
}

func (c *Conn) breakOff(deliver bool) {
	c.out.breakOff(deliver)
	c.in.breakOff(false)
}

func (c *Conn) done() {
	if c.onClose != nil {
		c.onClose()
	}
}

// CutAfterWriting lets n more bytes through from this end and then cuts the
// connection for both ends: the other end reads those bytes and then gets a
// connection reset, and so does the write that reaches the limit. With n = 0
// the next write, even an empty one, is the one that cuts.
func (c *Conn) CutAfterWriting(n int64) { c.out.setBudget(n) }

// SetWriteCapacity changes how many bytes this direction holds. Bytes already
// buffered stay, so a smaller capacity stalls the writer until enough is read.
func (c *Conn) SetWriteCapacity(n int) { c.out.setCapacity(n) }

// Unread returns how many bytes wait to be read at this end.
func (c *Conn) Unread() int { return c.in.buffered() }

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn. A deadline in the past ends pending calls.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.wrap("set", c.in.setDeadline(&c.in.readBy, &c.in.readerGone, t))
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.wrap("set", c.out.setDeadline(&c.out.writeBy, &c.out.writerGone, t))
}

func (c *Conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "mem", Source: c.local, Addr: c.remote, Err: err}
}
