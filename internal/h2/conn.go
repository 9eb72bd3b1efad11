package h2

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Owner is told what happens to a connection. It is called with no lock held.
type Owner interface {
	// Accept gives the memory and the receiver of a stream that the peer
	// opens; its headers follow at once. Only on the server's side.
	Accept(b *Batch, c *Conn) (*Stream, Receiver)
	// Changed says that Conn.Open may answer differently now: the peer's
	// first SETTINGS came, streams ended, its limit rose, its socket takes
	// bytes again, or it wants no more streams.
	Changed(b *Batch, c *Conn)
}

// Options is what connections share. Limits, Budget and Counters are required.
type Options struct {
	Limits   Limits
	Budget   *Budget
	Counters *Counters
	// KeepaliveInterval is how long a connection with open streams may be
	// silent before it is asked for a sign of life; 0: never.
	KeepaliveInterval time.Duration
	// KeepaliveTimeout is how long the answer may take.
	KeepaliveTimeout time.Duration
	// MaxAge is how long the connection takes streams, give or take a tenth;
	// then it drains. 0: for ever.
	MaxAge time.Duration
	// AgeGrace is how long streams may go on after MaxAge; 0: until they end.
	AgeGrace time.Duration
	// IdleTimeout is how long a connection that opens streams may have none
	// until it is closed. 0: for ever.
	IdleTimeout time.Duration
}

// Why Conn.Open opens no stream, and why a connection ended.
var (
	ErrFull     = errors.New("as many streams are open as the peer allows")
	ErrDraining = errors.New("the connection takes no new streams")
	ErrClosed   = errors.New("the connection is closed")

	errPrefaceTimeout = errors.New("the peer's preface did not come in time")
	errKeepalive      = errors.New("the peer did not answer a keepalive ping")
	errNotHTTP2       = errors.New("the peer does not speak HTTP/2")
	errDrained        = errors.New("drained")
	errPeerClosed     = errors.New("the peer closed the connection")
	errAged           = errors.New("calls went on for too long after the connection's greatest age")
	errIdle           = errors.New("closed because it had no calls")
)

// Conn is one HTTP/2 connection. See the package's comment for who may call what.
type Conn struct {
	// Immutable.
	nc     net.Conn
	sock   *socket // nil if nc is no plain socket
	server bool
	opts   *Options
	owner  Owner
	ring   func() // onAlarm, made once
	thawed bool   // it was written down and goes on: see Thaw

	lastRead atomic.Int64 // when something came last, in Unix nanoseconds

	// Owned by the reader goroutine.
	batch        Batch
	in           *buffer // nil while there is nothing in it
	inAt         int     // of the first byte not parsed
	began        bool    // the preface has come
	settled      bool    // the first SETTINGS have come; written with mu held too
	dec          *blockDecoder
	block        openBlock
	earlyResets  bucket
	ownResets    bucket
	noise        bucket
	lastAccepted uint32 // highest stream that the peer opened; written with mu held too
	lastSeen     uint32 // highest that it tried to open, after the last GOAWAY too

	wg sync.WaitGroup // the writer and the alarm at work

	mu sync.Mutex
	// Guarded by mu.
	streams      map[uint32]*Stream
	nextID       uint32 // of the next stream that we open
	recent       recentIDs
	peer         peerSettings
	enc          *blockEncoder
	sendWindow   int64
	recvWindow   int64
	received     int64 // bytes for which the peer has no connection credit yet
	held         bool  // that credit is held back
	buffered     int   // bytes that came in and have not left
	reported     int   // of them, those that the budget knows of
	out          parcel
	writing      parcel        // owned by whoever set busy
	busy         bool          // somebody is at the socket
	noted        bool          // some batch will flush it
	allWritten   chan struct{} // closed by the one who writes last; nil if nobody waits
	handed       uint64        // bytes ever given to the socket: the peer may have seen them
	ready        []*Stream
	grace        int     // frames that carry nothing which the peer may answer ours with
	greeted      bool    // our SETTINGS are on their way
	unacked      int     // SETTINGS of ours without ACK
	wanted       bool    // the owner wants to hear when streams end
	wantsRoom    bool    // and when the socket takes bytes again
	freeze       *freeze // nil unless it is paused, or about to be
	woken        bool    // the reader's deadline was set for a pause
	ringing      int     // goroutines of the timer at work
	draining     drainState
	goneAway     bool // the peer sent GOAWAY
	dead         bool
	answeredOnce bool  // a response has come
	cause        error // why it ended, for those who end it from outside
	pingSent     time.Time
	pinged       bool
	alarms       alarms
	start        alarm
	keepalive    alarm
	drainTimer   alarm
	ageAlarm     alarm
	aged         bool // it rang once
	idleAlarm    alarm
	idleSince    time.Time // when the last stream ended, if there is an IdleTimeout
}

// NewServer returns the side of nc that streams are opened on by the peer.
func NewServer(nc net.Conn, o *Options, owner Owner) *Conn { return newConn(nc, o, owner, true) }

// NewClient returns the side of nc that opens streams.
func NewClient(nc net.Conn, o *Options, owner Owner) *Conn {
	c := newConn(nc, o, owner, false)
	c.greet() // before the headers of any stream
	return c
}

func newConn(nc net.Conn, o *Options, owner Owner, server bool) *Conn {
	l := &o.Limits
	c := &Conn{
		nc: nc, sock: newSocket(nc), server: server, opts: o, owner: owner,
		began:       !server,
		dec:         newBlockDecoder(l),
		earlyResets: newBucket(l.EarlyResets),
		ownResets:   newBucket(l.OwnResets),
		noise:       newBucket(l.Noise),
		streams:     make(map[uint32]*Stream),
		nextID:      1,
		peer:        initialPeerSettings(),
		enc:         newBlockEncoder(),
		sendWindow:  defaultWindow,
		recvWindow:  int64(max(l.ConnWindow, defaultWindow)),
		unacked:     1,
	}
	c.ring = c.onAlarm
	c.alarms.epoch = time.Now()
	c.start.kind, c.keepalive.kind, c.drainTimer.kind = alarmPreface, alarmKeepalive, alarmDrain
	c.ageAlarm.kind, c.idleAlarm.kind = alarmAge, alarmIdle
	return c
}

// NetConn returns the connection underneath, for its addresses.
func (c *Conn) NetConn() net.Conn { return c.nc }

// Serve runs the connection until it ends and says why it did; nil if the
// peer closed it in order or it was drained. When Serve returns, every stream
// has ended, the connection is closed and none of its goroutines is left.
// After Frozen.Detach it returns ErrMoved, and leaves the connection as it is.
func (c *Conn) Serve() error {
	c.opts.Budget.add(c)
	defer c.opts.Budget.remove(c)
	if c.thawed {
		c.goOn()
	} else {
		c.begin()
	}
	err := c.read()
	if errors.Is(err, ErrMoved) {
		c.leave()
	} else {
		c.shutdown(err)
	}
	c.wg.Wait()
	switch {
	case err == nil, errors.Is(err, errDrained), errors.Is(err, errPeerClosed):
		return nil
	default:
		return err
	}
}

// Close ends the connection at once; Serve returns ErrClosed.
func (c *Conn) Close() {
	c.mu.Lock()
	c.closeLocked(ErrClosed)
	c.mu.Unlock()
}

// closeLocked makes Serve return err. The socket is closed by Serve itself.
func (c *Conn) closeLocked(err error) {
	if c.cause == nil {
		c.cause = err
	}
	if !errors.Is(c.cause, ErrMoved) {
		c.wake()
	}
}

// wake makes the reader look at what changed. A deadline in the past is the
// only way to reach it that every net.Conn has.
func (c *Conn) wake() {
	c.unfreeze()
	_ = c.nc.SetReadDeadline(longAgo)
}

// greet queues our preface and SETTINGS, which come before anything else,
// and raises the connection's window. A server waits for the client's preface
// with it, so that one that speaks HTTP/1 can be answered in its own tongue.
func (c *Conn) greet() {
	c.greeted = true
	x := c.out.room(256)
	if !c.server {
		x.b = append(x.b, preface...)
	}
	x.b = appendSettings(x.b, c.server, &c.opts.Limits)
	if extra := c.recvWindow - defaultWindow; extra > 0 {
		x.b = appendWindowUpdate(x.b, 0, extra)
	}
}

// begin sends the greeting and sets the alarms.
func (c *Conn) begin() {
	now := time.Now()
	c.batch.Now = now
	c.lastRead.Store(now.UnixNano())
	c.mu.Lock()
	c.touch(&c.batch)
	c.alarms.set(&c.start, now.Add(c.opts.Limits.Preface), c.ring)
	if c.opts.KeepaliveInterval > 0 {
		c.alarms.set(&c.keepalive, now.Add(c.opts.KeepaliveInterval), c.ring)
	}
	c.beginLife(now)
	c.mu.Unlock()
	c.batch.Flush()
}

// read is the reader: it parses what comes until the connection ends. It
// returns nil at the peer's orderly end.
func (c *Conn) read() error {
	for {
		eof, err := c.fill()
		if errors.Is(err, errPausing) {
			if err = c.park(); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		if eof {
			return c.atEOF()
		}
		c.batch.Now = time.Now()
		c.lastRead.Store(c.batch.Now.UnixNano())
		if c.blocked() {
			c.mu.Lock()
			c.touch(&c.batch) // the TLS layer answered the peer, and the socket was full
			c.mu.Unlock()
		}
		err = c.parse(&c.batch)
		if len(c.batch.conns) > 0 {
			// Other readers that have work get to it first: what they add to
			// the connections of this batch goes out in the same write.
			runtime.Gosched()
		}
		c.batch.Flush()
		if c.opts.Budget.used.Load() > c.opts.Budget.limit.Load() {
			c.opts.Budget.relieve(&c.batch)
			c.batch.Flush()
		}
		if err != nil {
			return err
		}
		if c.inAt == len(c.in.b) {
			putBuffer(c.in)
			c.in, c.inAt = nil, 0
		}
	}
}

// fill reads what there is behind what was not parsed yet.
func (c *Conn) fill() (eof bool, err error) {
	if c.in != nil && c.inAt > 0 {
		n := copy(c.in.b, c.in.b[c.inAt:])
		c.in.b, c.inAt = c.in.b[:n], 0
	}
	var n int
	if c.sock != nil {
		x := c.in
		c.in = nil // while it waits, the socket may give the buffer to others
		c.in, n, err = c.sock.read(x)
	} else {
		if c.in == nil {
			c.in = getBuffer()
		}
		b := c.in.b
		n, err = c.nc.Read(b[len(b):cap(b)])
		c.in.b = b[:len(b)+n]
	}
	if n > 0 {
		return false, nil
	}
	c.mu.Lock()
	cause, woken := c.cause, c.woken
	c.mu.Unlock()
	switch {
	case cause == nil && woken && errors.Is(err, os.ErrDeadlineExceeded):
		return false, errPausing
	case isAlert(err):
		return false, err // it says more than a write that failed
	case errors.Is(cause, errPeerClosed), cause == nil && isEOF(err):
		return true, nil
	case cause != nil:
		return false, cause // it was woken, or a write has failed before
	default:
		return false, fmt.Errorf("read: %w", err)
	}
}

func (c *Conn) atEOF() error {
	if c.in != nil && c.inAt < len(c.in.b) {
		return errors.New("the peer closed the connection inside a frame")
	}
	return nil
}

// Open opens stream s with the given headers, which must not change any more,
// and END_STREAM if end. It returns ErrFull, ErrDraining or ErrClosed when the
// connection takes none; after ErrFull the owner hears Changed when that may
// have passed.
func (c *Conn) Open(b *Batch, s *Stream, recv Receiver, fields []Field, end bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.dead || c.cause != nil:
		return ErrClosed
	case c.goneAway || c.draining != notDraining || c.nextID > maxStreamID:
		return ErrDraining
	case c.freeze != nil, len(c.streams) >= int(min(c.peer.maxStreams, maxStreamID)):
		c.wanted = true
		return ErrFull
	case c.out.len() > 4*c.opts.Limits.Outbox:
		c.wantsRoom = true
		return ErrFull
	}
	c.register(b, s, recv, c.nextID)
	c.nextID += 2
	s.offset = c.handed + uint64(c.out.len())
	c.writeHeaders(s.id, fields, end)
	s.sentHead, s.sentEnd = true, end
	c.touch(b)
	return nil
}

// register makes s stream id of the connection.
func (c *Conn) register(b *Batch, s *Stream, recv Receiver, id uint32) {
	s.id, s.conn, s.recv, s.opened = id, c, recv, b.Now
	s.sendWindow = c.peer.initialWindow
	s.window = int64(c.opts.Limits.StreamWindow)
	s.recvWindow = s.window
	if c.unacked > 0 {
		// Until it has seen our SETTINGS the peer goes by the default.
		s.recvWindow = max(s.recvWindow, defaultWindow)
	}
	s.length = -1
	c.streams[id] = s
}

// finish ends the stream in order once both sides are through.
func (c *Conn) finish(b *Batch, s *Stream) {
	if s.sentEnd && s.gotEnd && !s.gone {
		c.remove(b, s, false)
	}
}

// reset sends RST_STREAM and ends the stream.
func (c *Conn) reset(b *Batch, s *Stream, code ErrCode) {
	c.writeReset(b, s.id, code)
	c.remove(b, s, true)
}

// remove takes s off the connection. What it still had to send is dropped.
func (c *Conn) remove(b *Batch, s *Stream, reset bool) {
	s.gone = true
	delete(c.streams, s.id)
	c.recent.add(s.id, reset)
	c.alarms.clear(&s.deadline)
	c.alarms.clear(&s.stall)
	if n := s.queued(); n > 0 {
		b.bytesLeft(s.source, n-s.free)
		s.queue.clear()
	}
	if s.ready && len(c.ready) > 2*len(c.streams)+16 {
		c.ready = slices.DeleteFunc(c.ready, func(r *Stream) bool { return r.gone })
	}
	if c.wanted {
		c.wanted = false
		b.changed = append(b.changed, c)
	}
	if len(c.streams) > 0 {
		return
	}
	if c.draining == drainLast {
		c.closeLocked(errDrained)
	}
	if c.opts.IdleTimeout > 0 {
		c.idleSince = b.Now
	}
}

// Streams returns how many streams are open.
func (c *Conn) Streams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams)
}

func (c *Conn) appendStuck(to []stuckStream) []stuckStream {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.freeze != nil {
		return to // they wait for us, not for the peer
	}
	for _, s := range c.streams {
		if n := s.queued(); n > 0 {
			to = append(to, stuckStream{s, s.stuckSince, n})
		}
	}
	return to
}

// Settled reports whether the peer's first SETTINGS came: whether it spoke
// HTTP/2 at all.
func (c *Conn) Settled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settled
}

// Answered reports whether a response has ever come on the connection.
func (c *Conn) Answered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answeredOnce
}

// Usable reports whether the connection may take streams, now or when others end.
func (c *Conn) Usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.dead && c.cause == nil && !c.goneAway && c.draining == notDraining && c.nextID <= maxStreamID
}
