package server

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"loom/internal/config"
	"loom/internal/h2"
	"loom/internal/pki"
	"loom/internal/relay"
)

var errListenerClosed = net.ErrClosed

// listener is a socket that calls come in on, and the connections it has.
type listener struct {
	// Immutable.
	net  net.Listener  // a *socket, but for tests
	key  string        // see SocketKey
	done chan struct{} // closed by close

	terms  atomic.Pointer[terms]
	turned seldom // away: lines of the log

	mu sync.Mutex
	// Guarded by mu.
	guests map[*guest]struct{}
	closed bool
}

// terms are how a listener treats the connections that come. Immutable; others
// take their place for those that come later.
type terms struct {
	config  *config.Listener // that they are made of
	name    string
	most    int          // connections at a time
	secure  *pki.Server  // nil: clear text
	proxied bool         // connections begin with a PROXY header
	caller  relay.Caller // what is known of each who calls
}

// guest is a connection of a listener, from the moment it is accepted.
type guest struct {
	nc    net.Conn // immutable: as it was accepted
	terms *terms   // immutable: on which
	conn  *h2.Conn // guarded by listener.mu; nil until it speaks HTTP/2
}

// listen binds a listener.
func (s *Server) listen(c *config.Listener, t *terms) (*listener, error) {
	bound, err := s.binder.listen(c.Name, c.Address, modes{c.Mode, c.Mode})
	if err != nil {
		return nil, err
	}
	l := newListener(bound, t)
	l.key = bound.key
	return l, nil
}

func newListener(bound net.Listener, t *terms) *listener {
	l := &listener{net: bound, done: make(chan struct{}), guests: make(map[*guest]struct{})}
	l.terms.Store(t)
	return l
}

// name is that which the configuration in force has for it.
func (l *listener) name() string { return l.terms.Load().name }

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
			s.log.Warn("accept", zap.String("listener", l.name()), zap.Error(err), zap.Duration("pause", pause))
			select {
			case <-time.After(pause):
			case <-l.done:
			}
			continue
		}
		pause = 0
		g := &guest{nc: nc, terms: l.terms.Load()}
		if !l.add(g) {
			s.counters.ConnectionsRefused.Add(1)
			s.refuse(g)
			continue
		}
		s.conns.Go(func() { s.serve(l, g) })
	}
}

// refusals is how many peers beyond the limit may be told so at a time; the
// others are closed without a word.
const refusals = 64

// refuse tells a peer that there are too many connections, without keeping
// the next one waiting.
func (s *Server) refuse(g *guest) {
	select {
	case s.refusing <- struct{}{}:
		s.conns.Go(func() {
			defer func() { <-s.refusing }()
			if received, _, err := s.receive(g.terms, g.nc); err == nil {
				h2.Refuse(received, "too many connections")
			} else {
				_ = g.nc.Close()
			}
		})
	default:
		_ = g.nc.Close()
	}
}

// serve runs one connection.
func (s *Server) serve(l *listener, g *guest) {
	defer l.remove(g)
	nc, caller, err := s.receive(g.terms, g.nc)
	if err != nil {
		_ = g.nc.Close()
		s.turnedAway(l, g, err)
		return
	}
	c := s.relay.Conn(nc, caller)
	if !l.settle(g, c) {
		b := h2.NewBatch()
		c.Drain(b) // the listener closed meanwhile, or asks for something else
		b.Flush()
	}
	s.serveConn(l, c)
}

func (s *Server) serveConn(l *listener, c *h2.Conn) {
	if err := c.Serve(); err != nil && !errors.Is(err, h2.ErrClosed) {
		s.log.Debug("connection ended", zap.String("listener", l.name()),
			zap.Stringer("peer", c.NetConn().RemoteAddr()), zap.Error(err))
	}
}

// add makes g one of the listener's connections, if it may have one more. One
// that was accepted as the listener closed is no exception: it is told to go.
func (l *listener) add(g *guest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.guests) >= g.terms.most {
		return false
	}
	l.guests[g] = struct{}{}
	return true
}

// invite is add for a connection of our own, which running serves. It counts
// in running only while the listener is open: afterwards somebody may wait.
func (l *listener) invite(g *guest, running *sync.WaitGroup, serve func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errListenerClosed
	}
	l.guests[g] = struct{}{}
	running.Go(func() {
		defer l.remove(g)
		serve()
	})
	return nil
}

// settle notes that g speaks HTTP/2 on c from now on. It reports false when it
// is not welcome any more: the listener has closed, or other terms are in force.
func (l *listener) settle(g *guest, c *h2.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	g.conn = c
	return !l.closed && g.terms.admitsAs(l.terms.Load())
}

// admitsAs reports whether connections prove who they are on t as on other.
func (t *terms) admitsAs(other *terms) bool {
	return t.secure == other.secure && t.proxied == other.proxied && t.caller.IdentityMetadata == other.caller.IdentityMetadata
}

// renew puts other terms in force. Connections that came in by another way than
// is asked for now are drained: their callers come again.
func (l *listener) renew(b *h2.Batch, t *terms) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.terms.Store(t)
	for g := range l.guests {
		if g.conn != nil && !g.terms.admitsAs(t) {
			g.conn.Drain(b)
		}
	}
}

// empty reports whether no connection is left.
func (l *listener) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.guests) == 0
}

func (l *listener) remove(g *guest) {
	l.mu.Lock()
	delete(l.guests, g)
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

// conns are the connections that speak HTTP/2.
func (l *listener) conns() []*h2.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*h2.Conn, 0, len(l.guests))
	for g := range l.guests {
		if g.conn != nil {
			all = append(all, g.conn)
		}
	}
	return all
}

// size is how many connections there are.
func (l *listener) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.guests)
}

// expire bounds how long connections may still take to become HTTP/2.
func (l *listener) expire(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for g := range l.guests {
		if g.conn == nil {
			_ = g.nc.SetDeadline(at)
		}
	}
}

func (l *listener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for g := range l.guests {
		if g.conn != nil {
			g.conn.Close()
		} else {
			_ = g.nc.Close()
		}
	}
}
