package h2

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// socket is the raw side of a plain socket: reads that hold no buffer while
// they wait, and writes that do not wait at all.
type socket struct {
	raw syscall.RawConn // immutable

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

// newSocket returns nil if nc is not a plain socket.
func newSocket(nc net.Conn) *socket {
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

func (s *socket) readOnce(fd uintptr) bool {
	if s.rbuf == nil {
		s.rbuf = getBuffer()
		s.rbuf.b = append(s.rbuf.b, s.rest...)
	}
	b := s.rbuf.b
	for {
		n, err := syscall.Read(int(fd), b[len(b):cap(b)])
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			if len(b) <= shortRest {
				s.rest = append([]byte(nil), b...)
				putBuffer(s.rbuf)
				s.rbuf = nil
			}
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

// write writes what the socket takes at once and returns how much that was.
// It never waits: RawConn.Write would, for its lock, so Control it is.
func (s *socket) write(p []byte) (int, error) {
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
