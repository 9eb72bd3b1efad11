package integrity

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cutter forwards TCP connections and cuts each of them somewhere: after some
// number of bytes, so in the midst of a frame, or after some time, so also when
// it is idle. Half of the cuts are resets.
type cutter struct {
	listener net.Listener
	target   string
	cuts     atomic.Int64

	forwarding sync.WaitGroup
	stopping   atomic.Bool

	mu   sync.Mutex
	open map[net.Conn]bool
}

// startCutter forwards to the target until the test ends.
func startCutter(t *testing.T, target string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen for the cutter: %v", err)
	}
	c := &cutter{listener: listener, target: target, open: map[net.Conn]bool{}}
	c.forwarding.Go(c.accept)
	t.Cleanup(c.stop)
	return c
}

func (c *cutter) address() string { return c.listener.Addr().String() }

func (c *cutter) accept() {
	for {
		downstream, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.forwarding.Go(func() { c.forward(downstream) })
	}
}

// stop ends all connections and waits.
func (c *cutter) stop() {
	c.stopping.Store(true)
	c.listener.Close()
	c.mu.Lock()
	for conn := range c.open {
		conn.Close()
	}
	c.mu.Unlock()
	c.forwarding.Wait()
}

// keep notes a connection so that stop can end it; it reports whether there is
// still time for it.
func (c *cutter) keep(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping.Load() {
		return false
	}
	for _, conn := range conns {
		c.open[conn] = true
	}
	return true
}

func (c *cutter) forget(conns ...net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		delete(c.open, conn)
	}
}

func (c *cutter) forward(downstream net.Conn) {
	defer downstream.Close()
	upstream, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	defer upstream.Close()
	if !c.keep(downstream, upstream) {
		return
	}
	defer c.forget(downstream, upstream)

	// One connection in three is cut within its first kilobytes, where the
	// preface and the first header blocks are.
	most := int64(4 << 20)
	if rand.IntN(3) == 0 {
		most = 4 << 10
	}
	cut := sync.OnceFunc(func() {
		c.cuts.Add(1)
		if rand.IntN(2) == 0 {
			reset(downstream)
			reset(upstream)
		}
		downstream.Close()
		upstream.Close()
	})
	clock := time.AfterFunc(time.Duration(rand.Int64N(int64(4*time.Second))), cut)
	defer clock.Stop()
	var up sync.WaitGroup
	up.Go(func() { pass(upstream, downstream, rand.Int64N(most), cut) })
	pass(downstream, upstream, rand.Int64N(most), cut)
	up.Wait()
}

// pass forwards one way, to the last of the bytes that it may, and then cuts.
func pass(to, from net.Conn, most int64, cut func()) {
	_, err := io.CopyN(to, from, most)
	if err == nil {
		cut()
		return
	}
	if !errors.Is(err, net.ErrClosed) {
		// One of the sides ended it; the other one has to learn.
		to.Close()
		from.Close()
	}
}

// reset makes the close of a connection an abort.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		// It fails on a closed connection only, and then it is of no use.
		_ = tcp.SetLinger(0)
	}
}
