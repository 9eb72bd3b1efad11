package loomtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
)

// backlog is how many dialled connections may wait to be accepted.
const backlog = 128

// Listener accepts connections in memory. Dial works as connect does: it
// succeeds while the backlog has room, whether or not anybody accepts.
// All methods may be called concurrently.
type Listener struct {
	// immutable
	queue chan *Conn    // Dial sends, Accept receives; never closed
	done  chan struct{} // closed by Close

	mu sync.Mutex
	// guarded by mu
	closed   bool
	hook     func(context.Context) error
	capacity int
	made     int // numbers the dialling ends
	counts   Counts
}

// Counts is what a Listener has seen.
type Counts struct {
	Dialed       int // connections made
	Refused      int // dials that failed, for whatever reason
	Accepted     int
	DialersOpen  int // dialling ends that are not closed yet
	AcceptedOpen int // accepting ends, accepted or queued, that are not closed yet
}

// Listen returns an open Listener.
func Listen() *Listener {
	return &Listener{
		queue:    make(chan *Conn, backlog),
		done:     make(chan struct{}),
		capacity: DefaultCapacity,
	}
}

// Dial makes a connection and returns its dialling end. It fails when the
// Listener is closed, when ctx ends, or when the hook says so.
func (l *Listener) Dial(ctx context.Context) (*Conn, error) {
	if err := l.runHook(ctx); err != nil {
		return nil, l.refuse(err)
	}
	dialing, accepting, err := l.pair()
	if err != nil {
		return nil, l.refuse(err)
	}
	select {
	case l.queue <- accepting:
	case <-ctx.Done():
		err = ctx.Err()
	case <-l.done:
		err = os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	if err != nil {
		l.count(func(c *Counts) { c.Dialed-- })
		_, _ = dialing.Close(), accepting.Close()
		return nil, l.refuse(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		// Close may have emptied the queue just before this one went in.
		l.dropQueueLocked()
	}
	return dialing, nil
}

// DialAddr is Dial with the shape that dial options of other packages want;
// the address is not looked at.
func (l *Listener) DialAddr(ctx context.Context, _ string) (net.Conn, error) {
	c, err := l.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// pair makes a connection and counts it as dialled before anybody can see it,
// so that no count is ever behind what a test has observed.
func (l *Listener) pair() (dialing, accepting *Conn, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	l.made++
	l.counts.Dialed++
	l.counts.DialersOpen++
	l.counts.AcceptedOpen++
	from := addr(fmt.Sprintf("mem-dialer-%d", l.made))
	dialing, accepting = pipeBetween(from, l.Addr(), l.capacity, l.capacity)
	dialing.onClose = func() { l.count(func(c *Counts) { c.DialersOpen-- }) }
	accepting.onClose = func() { l.count(func(c *Counts) { c.AcceptedOpen-- }) }
	return dialing, accepting, nil
}

func (l *Listener) runHook(ctx context.Context) error {
	l.mu.Lock()
	hook := l.hook
	l.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(ctx)
}

func (l *Listener) refuse(err error) error {
	l.count(func(c *Counts) { c.Refused++ })
	return &net.OpError{Op: "dial", Net: "mem", Addr: l.Addr(), Err: err}
}

func (l *Listener) count(change func(*Counts)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.counts)
}

// SetDialHook has f called at the start of every dial; its error fails the
// dial, and while it blocks the dial hangs. A nil f removes it.
func (l *Listener) SetDialHook(f func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hook = f
}

// SetCapacity sets what each direction of connections made from now on holds.
func (l *Listener) SetCapacity(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.capacity = n
}

// Counts returns what the Listener has seen so far.
func (l *Listener) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// Accept implements net.Listener; the connections are of type *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, l.closedErr()
	default:
	}
	select {
	case c := <-l.queue:
		l.count(func(n *Counts) { n.Accepted++ })
		return c, nil
	case <-l.done:
		return nil, l.closedErr()
	}
}

// Close implements net.Listener. Connections that nobody accepted are cut,
// accepted ones live on.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.closedErr()
	}
	l.closed = true
	close(l.done)
	l.dropQueueLocked()
	return nil
}

func (l *Listener) dropQueueLocked() {
	for {
		select {
		case c := <-l.queue:
			// Its hook would take mu, which is held here.
			c.onClose = nil
			l.counts.AcceptedOpen--
			c.Cut()
		default:
			return
		}
	}
}

func (l *Listener) closedErr() error {
	return &net.OpError{Op: "accept", Net: "mem", Addr: l.Addr(), Err: net.ErrClosed}
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return addr("mem-listener") }
