package admin

import (
	"net"
	"sync"
	"sync/atomic"
)

// bounded is a listener with a bound on the connections that are open. Those
// beyond it are closed at once: who waits in vain would not know why.
type bounded struct {
	net.Listener

	slots   chan struct{} // holds a token of each open connection
	refused *atomic.Uint64
}

func bound(l net.Listener, most int, refused *atomic.Uint64) *bounded {
	return &bounded{Listener: l, slots: make(chan struct{}, most), refused: refused}
}

// Accept returns the next connection that there is room for.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		u, ok := conn.(*net.UnixConn)
		if !ok {
			_ = conn.Close()
			continue
		}
		select {
		case b.slots <- struct{}{}:
			return &boundedConn{UnixConn: u, release: sync.OnceFunc(func() { <-b.slots })}, nil
		default:
			b.refused.Add(1)
			_ = conn.Close()
		}
	}
}

// boundedConn gives its place back when it is closed.
type boundedConn struct {
	*net.UnixConn

	release func()
}

func (c *boundedConn) Close() error {
	defer c.release()
	return c.UnixConn.Close()
}
