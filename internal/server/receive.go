package server

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"loom/internal/config"
	"loom/internal/h2"
	"loom/internal/pki"
	"loom/internal/proxyproto"
	"loom/internal/relay"
)

// reception bounds what comes before HTTP/2 on connections of all listeners.
type reception struct {
	// Immutable.
	header     time.Duration // for a PROXY header
	handshake  time.Duration
	handshakes chan struct{} // holds a token for each TLS handshake that goes on
}

func newReception(l *config.Limits) reception {
	return reception{
		header:     time.Duration(l.PrefaceTimeout),
		handshake:  time.Duration(l.TLSHandshakeTimeout),
		handshakes: make(chan struct{}, l.TLSHandshakes),
	}
}

var errTooManyHandshakes = errors.New("as many TLS handshakes as there may be at a time (limits.tls_handshakes)")

// receive takes what comes before HTTP/2 off a connection, and returns the one
// that speaks it and what is known of the caller.
func (s *Server) receive(t *terms, nc net.Conn) (net.Conn, relay.Caller, error) {
	caller, rules := t.caller, &s.now().reception
	if t.proxied {
		h, err := s.readHeader(nc, rules.header)
		if err != nil {
			return nil, caller, err
		}
		caller.Peer = h.Source
	}
	if t.secure == nil {
		return nc, caller, nil
	}
	select {
	case rules.handshakes <- struct{}{}:
		defer func() { <-rules.handshakes }()
	default:
		s.counters.TLSHandshakesRefused.Add(1)
		return nil, caller, errTooManyHandshakes
	}
	secure, err := t.secure.Handshake(h2.NewWire(nc), time.Now().Add(rules.handshake))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.counters.TLSHandshakeTimeouts.Add(1)
		return nil, caller, errors.New("the TLS handshake took too long (limits.tls_handshake_timeout)")
	case err != nil:
		if !errors.Is(err, io.EOF) {
			s.counters.TLSHandshakesFailed.Add(1)
		}
		return nil, caller, err
	}
	state := secure.ConnectionState()
	caller.Identity = pki.Identity(&state)
	return secure, caller, nil
}

func (s *Server) readHeader(nc net.Conn, within time.Duration) (proxyproto.Header, error) {
	if err := nc.SetReadDeadline(time.Now().Add(within)); err != nil {
		return proxyproto.Header{}, err
	}
	h, err := proxyproto.Read(nc)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("the PROXY header took too long (limits.preface_timeout)")
	}
	if err != nil {
		if !errors.Is(err, io.EOF) {
			s.counters.ProxyHeadersRefused.Add(1)
		}
		return h, err
	}
	return h, nc.SetReadDeadline(time.Time{})
}

// turnedAway says now and then why a client gets no connection: it is most
// often a mistake of somebody's, and may be a flood.
func (s *Server) turnedAway(l *listener, g *guest, err error) {
	if l.isClosed() || errors.Is(err, io.EOF) {
		return // who connects and goes away again looks whether somebody listens
	}
	if untold, ok := l.turned.tell(time.Now()); ok {
		s.log.Info("connection turned away", zap.String("listener", g.terms.name),
			zap.Stringer("peer", g.nc.RemoteAddr()), zap.Error(err), zap.Uint64("others_untold", untold))
	}
}

func (l *listener) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// seldom lets one line a second into the log. The zero value is ready.
type seldom struct {
	last   atomic.Int64 // Unix nanoseconds
	untold atomic.Uint64
}

// tell reports whether it is time for a line, and how many there were none for
// since the last one.
func (s *seldom) tell(now time.Time) (untold uint64, ok bool) {
	last := s.last.Load()
	if now.UnixNano()-last < int64(time.Second) || !s.last.CompareAndSwap(last, now.UnixNano()) {
		s.untold.Add(1)
		return 0, false
	}
	return s.untold.Swap(0), true
}
