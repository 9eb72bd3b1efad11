package h2

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// socket is the raw side of a plain socket, or of TLS on one: reads that hold
// no buffer while they wait, and writes that do not wait at all.
type socket struct {
	// Immutable.
	raw  syscall.RawConn
	tls  *tls.Conn // nil without TLS
	wire *Wire     // of tls

	// Owned by the reader goroutine.
	readFn  func(fd uintptr) bool
	rbuf    *buffer
	rest    []byte // short beginning of a frame, while no buffer is held for it
	rn      int
	readErr error

	// Owned by whoever has the connection's writing token.
	writeFn  func(fd uintptr)
	wbuf     []byte
	wn       int
	writeErr error
}

// newSocket returns nil if nc is neither a plain socket nor TLS on the [Wire]
// of one, which it takes over.
func newSocket(nc net.Conn) *socket {
	secure, ok := nc.(*tls.Conn)
	if !ok {
		return newPlainSocket(nc)
	}
	w, ok := secure.NetConn().(*Wire)
	if !ok || w.plain == nil {
		return nil
	}
	w.taken = true
	s := &socket{raw: w.plain.raw, tls: secure, wire: w}
	s.readFn = s.readRecords
	return s
}

// newPlainSocket returns nil if nc is not a plain socket.
func newPlainSocket(nc net.Conn) *socket {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.readFn, s.writeFn = s.readOnce, s.writeOnce
	return s
}

// shortRest is how much of a frame is put aside while the rest of it is
// waited for, so that a peer cannot hold a buffer with a few bytes.
const shortRest = 4 << 10

// read waits until there is something to read and appends it to x, which it
// takes from the pool when it is nil: only once there are bytes for it.
func (s *socket) read(x *buffer) (*buffer, int, error) {
	s.rbuf, s.rn, s.readErr = x, 0, nil
	err := s.raw.Read(s.readFn)
	x, s.rbuf = s.rbuf, nil
	if err == nil {
		err = s.readErr
	}
	if err == nil && s.rn == 0 {
		err = io.EOF
	}
	return x, s.rn, err
}

// pick has a buffer in hand, with what was put aside in it.
func (s *socket) pick() {
	if s.rbuf == nil {
		s.rbuf = getBuffer()
		s.rbuf.b = append(s.rbuf.b, s.rest...)
	}
}

// putAside gives the buffer back, unless there is too much in it.
func (s *socket) putAside() {
	if b := s.rbuf.b; len(b) <= shortRest {
		s.rest = append([]byte(nil), b...)
		putBuffer(s.rbuf)
		s.rbuf = nil
	}
}

func (s *socket) readOnce(fd uintptr) bool {
	s.pick()
	b := s.rbuf.b
	for {
		n, err := syscall.Read(int(fd), b[len(b):cap(b)])
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			s.putAside()
			return false
		case err != nil:
			s.readErr = os.NewSyscallError("read", err)
		default:
			s.rn, s.rest = n, nil
			s.rbuf.b = b[:len(b)+n]
		}
		return true
	}
}

// readRecords takes all whole records that the socket has, as far as there is
// room, so that they are parsed and answered together.
func (s *socket) readRecords(fd uintptr) bool {
	s.pick()
	s.wire.fd, s.wire.dry = int(fd), false
	b := s.rbuf.b
	for len(b) < cap(b) {
		n, err := s.tls.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		s.rn += n
		if err != nil {
			// After bytes it can wait: TLS says it again.
			if s.rn == 0 && !errors.Is(err, errNoInput) {
				s.readErr = err
			}
			break
		}
	}
	s.wire.fd = -1
	s.rbuf.b = b
	if s.rn == 0 && s.readErr == nil {
		s.putAside()
		return false
	}
	s.rest = nil
	return true
}

// write writes what the socket takes at once and returns how much that was.
// It never waits: RawConn.Write would, for its lock, so Control it is.
func (s *socket) write(p []byte) (int, error) {
	if s.tls != nil {
		return s.writeRecords(p)
	}
	s.wbuf, s.wn, s.writeErr = p, 0, nil
	err := s.raw.Control(s.writeFn)
	s.wbuf = nil
	if err == nil {
		err = s.writeErr
	}
	return s.wn, err
}

func (s *socket) writeOnce(fd uintptr) {
	for s.wn < len(s.wbuf) {
		n, err := syscall.Write(int(fd), s.wbuf[s.wn:])
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return
		case err != nil:
			s.writeErr = os.NewSyscallError("write", err)
			return
		}
		s.wn += n
	}
}

// writeRecords encrypts and writes record by record until the socket is full:
// what is left of the last one is put aside in the wire.
func (s *socket) writeRecords(p []byte) (int, error) {
	n := 0
	for n < len(p) && !s.wire.blocked() {
		k := min(len(p)-n, maxRecord)
		if _, err := s.tls.Write(p[n : n+k]); err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}

// blocked reports whether bytes that were written have not left: somebody has
// to wait for the socket to take them.
func (s *socket) blocked() bool { return s.tls != nil && s.wire.blocked() }
