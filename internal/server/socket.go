package server

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// bare is a listening socket of the operating system: TCP or Unix.
type bare interface {
	net.Listener
	syscall.Conn

	SetDeadline(t time.Time) error
}

// socket is a listening socket that other processes may have, too: those that
// it crosses to, and those that it came from. Whoever accepts on it need not
// know when it stops to take connections for a while: Accept then waits.
type socket struct {
	// Immutable.
	bare    bare
	key     string
	path    string      // of a Unix socket; empty for others
	file    fs.FileInfo // of path, as it was made or found
	adopted bool        // it was not bound here

	mu sync.Mutex
	// Guarded by mu.
	changed *sync.Cond // paused, taking or closed
	paused  bool
	taking  int // Accepts that are at the socket
	shared  bool
	closed  bool
}

func newSocket(key string, l bare) *socket {
	s := &socket{key: key, bare: l}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// Accept returns the next connection. While the socket is paused it waits.
func (s *socket) Accept() (net.Conn, error) {
	for {
		if !s.enter() {
			return nil, net.ErrClosed
		}
		nc, err := s.bare.Accept()
		s.leave()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return nc, err
		}
	}
}

// enter waits until the socket is not paused. It reports false when it is
// closed.
func (s *socket) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.paused && !s.closed {
		s.changed.Wait()
	}
	if s.closed {
		return false
	}
	s.taking++
	return true
}

func (s *socket) leave() {
	s.mu.Lock()
	s.taking--
	s.mu.Unlock()
	s.changed.Broadcast()
}

// pause has the socket take no more connections, and returns when nobody takes
// one. Those that come wait in its queue, which other processes may serve: it
// is neither closed nor shut down.
func (s *socket) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.paused = true
	_ = s.bare.SetDeadline(time.Unix(1, 0)) // fails only once it is closed
	for s.taking > 0 && !s.closed {
		s.changed.Wait()
	}
}

// resume undoes pause.
func (s *socket) resume() {
	s.mu.Lock()
	s.paused = false
	_ = s.bare.SetDeadline(time.Time{})
	s.mu.Unlock()
	s.changed.Broadcast()
}

// share says whether another process has the socket, too: its file then stays
// when this one closes it. It returns what was so before.
func (s *socket) share(shared bool) (before bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.shared = s.shared, shared
	return before
}

// Addr returns where the socket listens.
func (s *socket) Addr() net.Addr { return s.bare.Addr() }

// Close ends every Accept. The file of a Unix socket goes with its last owner.
func (s *socket) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return net.ErrClosed
	}
	s.closed = true
	last := !s.shared
	s.mu.Unlock()
	s.changed.Broadcast()
	err := s.bare.Close()
	if s.file != nil && last {
		err = errors.Join(err, removeOwn(s.path, s.file))
	}
	return err
}

func (s *socket) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
