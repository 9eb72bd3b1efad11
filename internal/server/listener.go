package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"loom/internal/config"
	"loom/internal/h2"
)

var errListenerClosed = net.ErrClosed

// listener is a socket that calls come in on, and the connections it has.
type listener struct {
	// Immutable.
	name string
	net  net.Listener
	most int           // connections at a time
	done chan struct{} // closed by close

	mu sync.Mutex
	// Guarded by mu.
	conns  map[*h2.Conn]struct{}
	closed bool
}

func (s *Server) listen(c *config.Listener, most int) (*listener, error) {
	network, address := c.Address.Network, c.Address.Text
	if network == "unix" {
		if err := removeStale(address); err != nil {
			return nil, fmt.Errorf("listener %q: %w", c.Name, err)
		}
	}
	ln, err := bind(network, address)
	if err != nil {
		return nil, &ListenError{Listener: c.Name, Address: c.Address.String(), Err: listenCause(err)}
	}
	if network == "unix" {
		if err := os.Chmod(address, fs.FileMode(c.Mode)); err != nil {
			return nil, errors.Join(fmt.Errorf("listener %q: set mode: %w", c.Name, err), ln.Close())
		}
	}
	return &listener{name: c.Name, net: ln, most: most, done: make(chan struct{}), conns: make(map[*h2.Conn]struct{})}, nil
}

// bind listens. A Unix socket is there for its owner alone until its mode is
// set: with the usual umask anybody could connect in between.
func bind(network, address string) (net.Listener, error) {
	if network == "unix" {
		defer syscall.Umask(syscall.Umask(0o177))
	}
	return new(net.ListenConfig).Listen(context.Background(), network, address)
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

// removeStale removes the socket file that a process which is gone has left.
// One on which somebody answers stays, and so does anything that is no socket.
// Between the dial and the removal another process may begin to listen; it
// then loses its file, as it would if it had begun a moment earlier.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket; remove it or choose another path", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(fmt.Errorf("another process listens on %s", path), c.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("see whether somebody listens on %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
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
		if !l.add(c) {
			s.counters.ConnectionsRefused.Add(1)
			s.refuse(nc)
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
func (l *listener) add(c *h2.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.conns) >= l.most {
		return false
	}
	l.conns[c] = struct{}{}
	return true
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
	return l.net.Close()
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
