package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// Why a connection is not paused, and how one ends that was given away.
var (
	// ErrSecure is the answer to a pause of a TLS connection. Its keys and
	// sequence numbers are private to crypto/tls, so that nobody else could
	// go on with it.
	ErrSecure = errors.New("a TLS connection cannot be written down: crypto/tls does not give its keys away")
	// ErrPaused says that the connection is paused already.
	ErrPaused = errors.New("the connection is paused already")
	// ErrMoved is what Serve returns after [Frozen.Detach].
	ErrMoved = errors.New("the connection was given to somebody else")

	errPausing = errors.New("the connection is being paused")
)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// freeze is a pause, from when it is asked for until it is over.
type freeze struct {
	// Immutable.
	stopped chan struct{} // closed by whoever stops last
	over    chan struct{} // closed by whoever ends the pause
	since   time.Time

	// Guarded by Conn.mu.
	parked bool // the reader waits for over
	writer bool // the pause has the writing token
	still  bool // stopped is closed
}

// Frozen is a connection that is paused: nothing is read from its socket,
// nothing written, and no alarm rings, until Resume, Detach or Conn.Close.
// Its clock stands still too, the deadlines of its streams excepted.
//
// Other connections may still send on its streams: what they send is queued,
// as with a socket that takes nothing. So a picture that is to be complete
// needs both ends of the calls paused, and nobody who opens, resets or answers
// streams meanwhile. The methods of a Frozen are called by one goroutine at a
// time, and return ErrClosed once the connection has ended or goes on.
type Frozen struct {
	conn  *Conn
	pause *freeze
}

// Pause stops the connection between two frames of what came in, and anywhere
// in what goes out: the rest of either is carried along. It waits until reader,
// writer and alarms have stopped, which takes as long as they need for what
// they have in hand; when ctx ends first the connection goes on. Meanwhile
// [Conn.Open] returns ErrFull, and the owner hears Changed afterwards. The
// connection has to be served, and an Owner or a Receiver must not pause it
// while it is told something. Pause returns ErrSecure for TLS, ErrPaused, and
// ErrClosed if the connection ends.
func (c *Conn) Pause(ctx context.Context) (*Frozen, error) {
	if _, secure := c.nc.(*tls.Conn); secure {
		return nil, ErrSecure
	}
	f := &freeze{stopped: make(chan struct{}), over: make(chan struct{}), since: time.Now()}
	if err := c.stop(f); err != nil {
		return nil, err
	}
	frozen := &Frozen{c, f}
	select {
	case <-f.stopped:
		return frozen, nil
	case <-f.over:
		return nil, ErrClosed
	case <-ctx.Done():
		if frozen.Resume() != nil {
			return nil, ErrClosed
		}
		return nil, fmt.Errorf("pause the connection: %w", context.Cause(ctx))
	}
}

// stop asks reader and writer to stop.
func (c *Conn) stop(f *freeze) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.dead || c.cause != nil:
		return ErrClosed
	case c.freeze != nil:
		return ErrPaused
	}
	c.freeze, c.woken = f, true
	if c.busy {
		_ = c.nc.SetWriteDeadline(longAgo)
	} else {
		c.busy, f.writer = true, true
	}
	_ = c.nc.SetReadDeadline(longAgo)
	return nil
}

// park keeps the reader until the pause is over. It returns ErrMoved if the
// connection is somebody else's then.
func (c *Conn) park() error {
	for {
		c.mu.Lock()
		f := c.freeze
		if f == nil {
			c.woken = false
			moved := errors.Is(c.cause, ErrMoved)
			c.mu.Unlock()
			if moved {
				return ErrMoved
			}
			return nil
		}
		f.parked = true
		c.stopping()
		c.mu.Unlock()
		<-f.over
	}
}

// stopping tells who pauses the connection when the last has stopped.
func (c *Conn) stopping() {
	if f := c.freeze; f != nil && f.parked && f.writer && c.ringing == 0 && !f.still {
		f.still = true
		close(f.stopped)
	}
}

// handOver gives the writing token to the pause, with what the socket has not
// taken of the parcel.
func (c *Conn) handOver() {
	w := &c.writing
	if !w.empty() {
		x := w.bufs[0]
		x.b, x.at = x.b[:copy(x.b, x.b[x.at:])], 0
		c.handed -= uint64(w.len())
	}
	c.out = parcel{
		bufs:    append(w.bufs, c.out.bufs...),
		marks:   append(w.marks, c.out.marks...),
		control: w.control + c.out.control,
	}
	c.writing = parcel{}
	c.busy, c.freeze.writer = true, true
	c.stopping()
}

// unfreeze ends the pause, if there is one: the connection goes on, or ends.
func (c *Conn) unfreeze() {
	f := c.freeze
	if f == nil {
		return
	}
	c.freeze = nil
	if f.writer {
		c.busy = false
	}
	if c.cause == nil {
		_ = c.nc.SetReadDeadline(time.Time{})
		c.skip(time.Since(f.since))
		c.alarms.fired(c.ring)
	}
	close(f.over)
}

// skip takes d off the time that the peer has been silent, or slow: nobody
// listened to it.
func (c *Conn) skip(d time.Duration) {
	c.lastRead.Add(int64(d))
	c.pingSent = c.pingSent.Add(d)
	for _, s := range c.streams {
		s.stuckSince = s.stuckSince.Add(d)
	}
	for _, a := range []*alarm{&c.start, &c.drainTimer} {
		c.alarms.delay(a, d)
	}
}

// Resume has the connection go on as if nothing had been.
func (f *Frozen) Resume() error {
	c, b := f.conn, NewBatch()
	c.mu.Lock()
	if c.freeze != f.pause {
		c.mu.Unlock()
		return ErrClosed
	}
	c.unfreeze()
	c.touch(b)
	if c.wanted {
		c.wanted = false
		b.changed = append(b.changed, c)
	}
	c.mu.Unlock()
	b.Flush()
	return nil
}

// Streams returns the ids of the streams that are open, in order.
func (f *Frozen) Streams() []uint32 {
	c := f.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make([]uint32, 0, len(c.streams))
	for id := range c.streams {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Detach gives the connection up in favour of whoever was given what Marshal
// returned. Serve returns ErrMoved, without having told any Receiver, sent
// anything, or closed the socket, which Detach returns: from now on neither
// the Conn nor its Streams touch it. Bytes of other connections that it had
// still to send count as sent.
func (f *Frozen) Detach() (net.Conn, error) {
	c, b := f.conn, NewBatch()
	c.mu.Lock()
	if c.freeze != f.pause {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	for _, s := range c.streams {
		s.gone = true
		b.bytesLeft(s.source, s.queued()-s.free)
		s.queue.clear()
	}
	clear(c.streams)
	c.ready = nil
	c.release(b, &c.out)
	c.cause, c.dead = ErrMoved, true
	c.alarms.stop()
	c.bufferedChanged()
	c.unfreeze()
	_ = c.nc.SetDeadline(time.Time{})
	c.mu.Unlock()
	b.Flush()
	return c.nc, nil
}

// leave is the reader's part of Detach.
func (c *Conn) leave() {
	c.owner.Changed(&c.batch, c)
	c.batch.Flush()
	if c.in != nil {
		putBuffer(c.in)
		c.in = nil
	}
}
