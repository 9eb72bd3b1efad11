package loomtest

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// Upstream plays a gRPC backend on a connection that it accepted.
type Upstream struct{ *Peer }

// NewUpstream starts a backend on conn: it sends SETTINGS, takes the preface
// and reads from then on. The test's cleanup closes conn.
func NewUpstream(t testing.TB, conn net.Conn, opts ...Option) *Upstream {
	t.Helper()
	hello := func(p *Peer) { p.Settings(p.opts.settings...) }
	return &Upstream{start(t, "upstream", true, conn, opts, hello)}
}

// WantCall waits for the next stream that the caller opens, and returns its id
// and its request headers.
func (u *Upstream) WantCall() (id uint32, request *Block) {
	u.t.Helper()
	id = take(u.Peer, "a call", func() *[]uint32 { return &u.arrived })
	return id, u.WantHeaders(id)
}

// NextCall is WantCall for any goroutine: it fails nothing, and returns ErrOver
// or ErrStalled when there is no call within d.
func (u *Upstream) NextCall(d time.Duration) (id uint32, request *Block, err error) {
	u.mu.Lock()
	u.awaitLocked(d, func() bool { return len(u.arrived) > 0 || u.over })
	over := u.over
	if len(u.arrived) > 0 {
		id, u.arrived = u.arrived[0], u.arrived[1:]
	}
	u.mu.Unlock()
	switch {
	case id != 0:
		e, err := u.Next(id, d)
		return id, e.Block, err
	case over:
		return 0, nil, ErrOver
	}
	return 0, nil, ErrStalled
}

// Headers answers with status 200 and the content type of gRPC, with kv put
// over them.
func (u *Upstream) Headers(id uint32, kv ...string) {
	u.HeaderBlock(id, false, KV(":status", "200", "content-type", "application/grpc").with(kv...))
}

// Trailers ends the answer with grpc-status and kv.
func (u *Upstream) Trailers(id uint32, code codes.Code, kv ...string) {
	u.HeaderBlock(id, true, KV("grpc-status", strconv.Itoa(int(code))).with(kv...))
}

// TrailersOnly answers with one block that is headers and trailers.
func (u *Upstream) TrailersOnly(id uint32, code codes.Code, kv ...string) {
	u.HeaderBlock(id, true, KV(
		":status", "200", "content-type", "application/grpc", "grpc-status", strconv.Itoa(int(code)),
	).with(kv...))
}

// Reply answers a unary call: headers, one message, status OK.
func (u *Upstream) Reply(id uint32, msg []byte) {
	u.Headers(id)
	u.Data(id, msg, false)
	u.Trailers(id, codes.OK)
}

// UpstreamListener takes in the connections that a script's Upstreams play on.
type UpstreamListener struct {
	// immutable
	t     testing.TB
	ln    net.Listener
	opts  []Option
	wait  time.Duration
	conns chan net.Conn // the accepting goroutine sends, Accept receives; never closed
	done  chan struct{} // closed at the test's end
	ended sync.WaitGroup
}

// ServeUpstream accepts connections from ln until the test ends, and closes ln
// then. The options are those of every Upstream that Accept returns.
func ServeUpstream(t testing.TB, ln net.Listener, opts ...Option) *UpstreamListener {
	o := options{timeout: defaultTimeout}
	for _, opt := range opts {
		opt(&o)
	}
	l := &UpstreamListener{
		t: t, ln: ln, opts: opts, wait: o.timeout,
		conns: make(chan net.Conn), done: make(chan struct{}),
	}
	l.ended.Go(l.serve)
	t.Cleanup(func() {
		close(l.done)
		_ = ln.Close()
		l.ended.Wait()
	})
	return l
}

func (l *UpstreamListener) serve() {
	for {
		conn, err := l.ln.Accept()
		if err != nil {
			return
		}
		select {
		case l.conns <- conn:
		case <-l.done:
			_ = conn.Close()
			return
		}
	}
}

// Accept waits for the next connection and starts an Upstream on it, with
// further options.
func (l *UpstreamListener) Accept(opts ...Option) *Upstream {
	l.t.Helper()
	return NewUpstream(l.t, l.AcceptConn(), append(slices.Clip(l.opts), opts...)...)
}

// AcceptConn waits for the next connection and leaves it alone.
func (l *UpstreamListener) AcceptConn() net.Conn {
	l.t.Helper()
	conn, err := l.NextConn(l.wait, nil)
	if err != nil {
		l.t.Fatalf("upstream: want a connection: %v", err)
	}
	return conn
}

// WantNone waits for d, in which no connection may come.
func (l *UpstreamListener) WantNone(d time.Duration) {
	l.t.Helper()
	if conn, err := l.NextConn(d, nil); err == nil {
		_ = conn.Close()
		l.t.Fatalf("upstream: want no connection for %v, got one from %v", d, conn.RemoteAddr())
	}
}

// NextConn is AcceptConn for any goroutine: it fails nothing, and gives up after
// d or when stop is closed.
func (l *UpstreamListener) NextConn(d time.Duration, stop <-chan struct{}) (net.Conn, error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-timer.C:
		return nil, fmt.Errorf("none within %v", d)
	case <-stop:
		return nil, errors.New("none until it was stopped")
	}
}
