package h2

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// maxRecord is the largest piece that TLS encrypts at once (RFC 8446, section
// 5.1): one that is full costs least.
const maxRecord = 16 << 10

// Wire is the socket under a TLS connection. Make the tls.Conn on a Wire,
// complete its handshake, and a [Conn] reads and writes it as it does a plain
// socket: it holds no buffer while nothing comes and needs no goroutine to
// write. Of anything but a plain socket a Wire makes no difference.
//
// Until the Conn takes it over, a Wire waits like the connection that it was
// made of. Afterwards the TLS layer never waits in it: bytes that the socket
// does not take are put aside, and whoever has the connection's writing token
// sees to it that they leave.
type Wire struct {
	net.Conn

	plain *socket // immutable; nil if Conn is no plain socket
	taken bool    // set before a Conn begins to serve

	// Owned by the reader goroutine.
	fd  int  // to read from without waiting; -1: wait as usual
	dry bool // the socket had no more

	mu sync.Mutex
	// Guarded by mu.
	rest    *buffer // encrypted, and not taken by the socket; nil if there is none
	waiting bool    // somebody waits for the socket to take earlier bytes
}

// NewWire returns the wire of nc.
func NewWire(nc net.Conn) *Wire { return &Wire{Conn: nc, plain: newPlainSocket(nc), fd: -1} }

// errNoInput says that nothing is there to be read. TLS takes it for a
// time-out and can be asked again.
var errNoInput net.Error = noInputError{}

type noInputError struct{}

func (noInputError) Error() string   { return "nothing to read" }
func (noInputError) Timeout() bool   { return true }
func (noInputError) Temporary() bool { return true }

// Read is for the TLS layer.
func (w *Wire) Read(p []byte) (int, error) {
	switch {
	case w.fd < 0:
		return w.Conn.Read(p)
	case w.dry:
		return 0, errNoInput
	}
	for {
		n, err := syscall.Read(w.fd, p)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			w.dry = true
			return 0, errNoInput
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		}
		w.dry = n < len(p)
		return n, nil
	}
}

// Write is for the TLS layer. Once the wire is taken it does not wait.
func (w *Wire) Write(p []byte) (int, error) {
	if !w.taken {
		return w.Conn.Write(p)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	if w.rest == nil && !w.waiting {
		var err error
		if n, err = w.plain.write(p); err != nil {
			return n, err
		}
	}
	if n == len(p) {
		return n, nil
	}
	if w.rest == nil {
		w.rest = getBuffer()
	}
	if cap(w.rest.b)-len(w.rest.b) < len(p)-n {
		return n, errors.New("the socket takes nothing")
	}
	w.rest.b = append(w.rest.b, p[n:]...)
	return len(p), nil
}

// blocked reports whether bytes wait for the socket.
func (w *Wire) blocked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rest != nil
}

// flush waits until the socket has taken what was put aside, or the write
// deadline passes. Meanwhile TLS may add to it.
func (w *Wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.rest != nil {
		x := w.rest
		w.rest, w.waiting = nil, true
		w.mu.Unlock()
		_, err := w.Conn.Write(x.b)
		putBuffer(x)
		w.mu.Lock()
		w.waiting = false
		if err != nil {
			return err
		}
	}
	return nil
}
