package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"loom/internal/config"
	"loom/internal/h2"
)

var (
	errListenerClosed = net.ErrClosed
	errListenerFull   = errors.New("as many connections as the listener may have")
)

// listener is a socket that calls come in on, and the connections it has.
type listener struct {
	// Immutable.
	name string
	net  net.Listener
	most int           // connections at a time
	done chan struct{} // closed by close
	path string        // of a Unix socket; empty for others
	file fs.FileInfo   // of path, as we made it

	mu sync.Mutex
	// Guarded by mu.
	conns  map[*h2.Conn]struct{}
	closed bool
}

func (s *Server) listen(c *config.Listener, most int) (*listener, error) {
	l := &listener{name: c.Name, most: most, done: make(chan struct{}), conns: make(map[*h2.Conn]struct{})}
	var err error
	if c.Address.Network == "unix" {
		l.path = c.Address.Text
		l.net, l.file, err = listenUnix(l.path, c.Mode)
	} else {
		l.net, err = new(net.ListenConfig).Listen(context.Background(), c.Address.Network, c.Address.Text)
	}
	if err != nil {
		return nil, &ListenError{Listener: c.Name, Address: c.Address.String(), Err: listenCause(err)}
	}
	return l, nil
}

// ListenError says which listener could not be bound.
type ListenError struct {
	Listener string
	Address  string
	Err      error
}

func (e *ListenError) Error() string {
	return fmt.Sprintf("listener %q: listen on %s: %v", e.Listener, e.Address, e.Err)
}

// Unwrap returns the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// listenCause takes off the layers that repeat the address.
func listenCause(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}

func (l *listener) address() string {
	a := l.net.Addr()
	if a.Network() == "unix" {
		return "unix:" + a.String()
	}
	return a.String()
}

// accept takes connections until the listener is closed.
func (s *Server) accept(l *listener) {
	var pause time.Duration
	for {
		nc, err := l.net.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, syscall.ECONNABORTED):
			continue // it went away while it waited
		case err != nil:
			// Out of descriptors, most likely: others have to go first.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Warn("accept", zap.String("listener", l.name), zap.Error(err), zap.Duration("pause", pause))
			select {
			case <-time.After(pause):
			case <-l.done:
			}
			continue
		}
		pause = 0
		c := s.relay.Conn(nc)
		if err := l.add(c); errors.Is(err, errListenerFull) {
			s.counters.ConnectionsRefused.Add(1)
			s.refuse(nc)
			continue
		} else if err != nil {
			_ = nc.Close()
			continue
		}
		s.conns.Go(func() { s.serve(l, c) })
	}
}

// refusals is how many peers beyond the limit may be told so at a time; the
// others are closed without a word.
const refusals = 64

// refuse tells a peer that there are too many connections, without keeping
// the next one waiting.
func (s *Server) refuse(nc net.Conn) {
	select {
	case s.refusing <- struct{}{}:
		s.conns.Go(func() {
			h2.Refuse(nc, "too many connections")
			<-s.refusing
		})
	default:
		_ = nc.Close()
	}
}

// serve runs one connection.
func (s *Server) serve(l *listener, c *h2.Conn) {
	err := c.Serve()
	l.remove(c)
	if err != nil && !errors.Is(err, h2.ErrClosed) {
		s.log.Debug("connection ended", zap.String("listener", l.name),
			zap.Stringer("peer", c.NetConn().RemoteAddr()), zap.Error(err))
	}
}

// add makes c one of the listener's connections, if it may have one more.
func (l *listener) add(c *h2.Conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return errListenerClosed
	case len(l.conns) >= l.most:
		return errListenerFull
	}
	l.conns[c] = struct{}{}
	return nil
}

func (l *listener) remove(c *h2.Conn) {
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
}

func (l *listener) close() error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.done)
	}
	l.mu.Unlock()
	err := l.net.Close()
	if l.file != nil {
		err = errors.Join(err, removeOwn(l.path, l.file))
	}
	return err
}

func (l *listener) drain(b *h2.Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.Drain(b)
	}
}

func (l *listener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.Close()
	}
}
