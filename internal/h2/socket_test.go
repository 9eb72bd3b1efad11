package h2_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// sockets runs f with each kind of plain socket, and with TLS on one.
func sockets(t *testing.T, f func(t *testing.T, pair func() (mine, theirs net.Conn))) {
	t.Helper()
	socketsOf(t, []string{"tcp", "unix", "tls"}, f)
}

func socketsOf(t *testing.T, kinds []string, f func(t *testing.T, pair func() (mine, theirs net.Conn))) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			network, address := "tcp", "127.0.0.1:0"
			if kind == "unix" {
				network, address = kind, filepath.Join(t.TempDir(), "s")
			}
			ln, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = ln.Close() })
			f(t, func() (mine, theirs net.Conn) {
				mine, err := net.Dial(network, ln.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				if theirs, err = ln.Accept(); err != nil {
					t.Fatal(err)
				}
				if kind == "tls" {
					mine, theirs = secured(t, mine, theirs, tls.VersionTLS13)
				}
				return mine, theirs
			})
		})
	}
}

// greetBackend is what a backend says first, and windows without end.
func greetBackend() []byte {
	wire := loomtest.FrameBytes(http2.FrameSettings, 0, 0, []byte{0, 4, 0x7f, 0xff, 0xff, 0xff})
	wire = append(wire, loomtest.FrameBytes(http2.FrameSettings, http2.FlagSettingsAck, 0, nil)...)
	return append(wire, loomtest.FrameBytes(http2.FrameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<30))...)
}

// A socket that takes bytes slowly, in pieces of any size, gets all of them
// in order, and meanwhile loom holds no more than it may.
func TestSlowReaderGetsEverything(t *testing.T) {
	sockets(t, func(t *testing.T, pair func() (net.Conn, net.Conn)) {
		h := newHost(t)
		near, far := pair()
		size := 50 << 20
		if near.LocalAddr().Network() == "unix" {
			size = 5 << 20 // what is different shows sooner
		}
		up := h.serve(near, false, nil)
		t.Cleanup(func() { _ = far.Close() })
		if _, err := far.Write(greetBackend()); err != nil {
			t.Fatal(err)
		}
		mine, theirs := pair()
		h.serve(theirs, true, relayTo(up))
		down := loomtest.NewDownstream(t, mine)
		within(t, "the backend's SETTINGS are not read", up.Settled)

		body := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{}).Read(body)
		var sending sync.WaitGroup
		defer sending.Wait()
		id := down.Open("/s/m")
		sending.Go(func() {
			if err := down.Send(id, body, true); err != nil {
				t.Error(err)
			}
		})
		// Nothing is read until the socket is full and the rest waits.
		within(t, "the socket takes everything", func() bool { return up.Queued() > 0 })
		got, most := slowly(t, far, h.budget)
		if got != sha256.Sum256(body) {
			t.Error("what came is not what was sent")
		}
		if limit := int64(h.opts.Limits.Buffered); most > limit {
			t.Errorf("%d bytes were held, the cap is %d", most, limit)
		}
		_ = far.Close()
	})
}

// slowly reads DATA until the stream ends, and returns its checksum and the
// most that was buffered on the way.
func slowly(t *testing.T, conn net.Conn, budget *h2.Budget) (sum [sha256.Size]byte, most int64) {
	t.Helper()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(io.Discard, conn)
	framer.SetReuseFrames()
	hash := sha256.New()
	for i := 0; ; i++ {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			most = max(most, budget.Used())
			time.Sleep(time.Millisecond)
		}
		data, ok := f.(*http2.DataFrame)
		if !ok {
			continue
		}
		_, _ = hash.Write(data.Data())
		if data.StreamEnded() {
			return [sha256.Size]byte(hash.Sum(nil)), most
		}
	}
}

// Frames come in pieces, with any time between them.
func TestFramesInPieces(t *testing.T) {
	sockets(t, func(t *testing.T, pair func() (net.Conn, net.Conn)) {
		h := newHost(t)
		near, far := pair()
		s := h.serve(near, true, nil)
		t.Cleanup(func() { _ = far.Close() })
		mustWrite(t, far, greetCaller(), requestBytes(1))
		l := s.leg()
		l.want("headers")
		body := make([]byte, 16384)
		_, _ = rand.NewChaCha8([32]byte{}).Read(body)
		wire := frame(http2.FrameData, 0, 1, body)
		for _, cut := range []int{1, 5, 8, 9, 10, 100, 4 << 10, 4<<10 + 1, 10000, len(wire) - 1} {
			mustWrite(t, far, wire[:cut])
			time.Sleep(2 * time.Millisecond) // most likely it is read by then
			mustWrite(t, far, wire[cut:])
			if got := l.want("data").data; !bytes.Equal(got, body) {
				t.Fatalf("cut at %d: what came is not what was sent", cut)
			}
		}
	})
}

// What a peer's end means: in order between two frames, a fault inside of
// one. The streams learn of it in either case.
func TestEndOfASocket(t *testing.T) {
	tests := []struct {
		name string
		end  func(c net.Conn)
		bad  bool
	}{
		{"closed", func(c net.Conn) { _ = c.Close() }, false},
		{"half-closed", func(c net.Conn) { _ = c.(interface{ CloseWrite() error }).CloseWrite() }, false},
		{"inside a frame", func(c net.Conn) {
			_, _ = c.Write([]byte("\x00\x00\x08\x06\x00"))
			_ = c.Close()
		}, true},
		{"inside a payload", func(c net.Conn) {
			_, _ = c.Write([]byte("\x00\x00\x08\x06\x00\x00\x00\x00\x00abc"))
			_ = c.Close()
		}, true},
	}
	sockets(t, func(t *testing.T, pair func() (net.Conn, net.Conn)) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				h := newHost(t)
				near, far := pair()
				t.Cleanup(func() { _ = far.Close() })
				s := h.serve(near, false, nil)
				if _, err := far.Write(greetBackend()); err != nil {
					t.Fatal(err)
				}
				l := s.mustOpen(true)
				readRequest(t, far)
				tt.end(far)
				if e := l.wantEnded(h2.CauseLost); e.Err == nil {
					t.Error("the stream is not told why")
				}
				if err := s.wantEnd(); (err != nil) != tt.bad {
					t.Errorf("Serve returned %v", err)
				}
			})
		}
	})
}

func TestResetOfASocket(t *testing.T) {
	sockets(t, func(t *testing.T, pair func() (net.Conn, net.Conn)) {
		h := newHost(t)
		near, far := pair()
		s := h.serve(near, true, nil)
		mustWrite(t, far, greetCaller(), requestBytes(1))
		l := s.leg()
		l.want("headers")
		if tcp, ok := far.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = far.Close()
		// The writer may find out before the reader does.
		do(func(b *h2.Batch) { l.SendHeaders(b, loomtest.KV(":status", "200"), false) })
		do(func(b *h2.Batch) { l.Send(b, make([]byte, 1000), false, nil) })
		l.wantEnded(h2.CauseLost)
		_ = s.wantEnd()
	})
}

func greetCaller() []byte {
	wire := append([]byte(http2.ClientPreface), loomtest.FrameBytes(http2.FrameSettings, 0, 0, nil)...)
	return append(wire, loomtest.FrameBytes(http2.FrameSettings, http2.FlagSettingsAck, 0, nil)...)
}

func requestBytes(id uint32) []byte {
	return loomtest.FrameBytes(http2.FrameHeaders, http2.FlagHeadersEndHeaders, id, []byte{0x83, 0x86, 0x84})
}

func mustWrite(t *testing.T, c net.Conn, parts ...[]byte) {
	t.Helper()
	for _, p := range parts {
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
	}
}

// A caller that has broken the protocol reads why, though it goes on sending.
func TestGoAwayIsReadOnASocket(t *testing.T) {
	sockets(t, func(t *testing.T, pair func() (net.Conn, net.Conn)) {
		for range 20 {
			h := newHost(t)
			near, far := pair()
			s := h.serve(near, true, nil)
			fault := loomtest.FrameBytes(http2.FrameData, 0, 0, nil)
			mustWrite(t, far, append(append(greetCaller(), fault...), make([]byte, 200<<10)...))
			readUntil(t, far, func(f http2.Frame) bool {
				g, ok := f.(*http2.GoAwayFrame)
				return ok && g.ErrCode == http2.ErrCodeProtocol
			})
			_ = far.Close()
			var told *h2.ConnError
			if err := s.wantEnd(); !errors.As(err, &told) {
				t.Errorf("Serve returned %v", err)
			}
		}
	})
}

// An idle connection holds one goroutine and no buffer, whatever has gone
// through it before, and so does one that waits for the rest of a frame.
func TestIdleConnectionsAreCheap(t *testing.T) {
	body := frame(http2.FrameData, endStream, 1, make([]byte, 16000))
	t.Run("between frames", func(t *testing.T) { holdIdle(t, nil, greetCaller(), requestBytes(1), body) })
	t.Run("inside a frame", func(t *testing.T) { holdIdle(t, body[:20], greetCaller(), requestBytes(1), body) })
}

// holdIdle makes connections, has each echo one call, and looks at what they
// cost when they have got the rest.
func holdIdle(t *testing.T, rest []byte, call ...[]byte) {
	const conns, most = 200, 16 << 10
	h := newHost(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	goroutines, heap := runtime.NumGoroutine(), heapInUse()
	var far []net.Conn
	for range conns {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		far = append(far, c)
		near, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn := h2.NewServer(near, h.opts, echoOwner{})
		go func() { _ = conn.Serve() }()
	}
	for _, c := range far {
		mustWrite(t, c, call...)
	}
	for _, c := range far {
		readUntilEnd(t, c)
		mustWrite(t, c, rest)
	}
	within(t, "there are more goroutines than connections", func() bool { return runtime.NumGoroutine() <= goroutines+conns })
	each := int64(0)
	within(t, "idle connections hold too much", func() bool {
		each = (int64(heapInUse()) - int64(heap)) / conns
		return each <= most
	})
	t.Logf("an idle connection holds %d bytes", each)
	for _, c := range far {
		_ = c.Close()
	}
	within(t, "connections do not end with their sockets", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// within waits until ok holds.
func within(t *testing.T, complaint string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(grace); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(complaint)
		}
	}
}

// heapInUse returns the bytes of the heap that are reachable, pools aside.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // a pool keeps what it has for one more
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func readUntilEnd(t *testing.T, c net.Conn) {
	t.Helper()
	readUntil(t, c, func(f http2.Frame) bool {
		d, ok := f.(*http2.DataFrame)
		return ok && d.StreamEnded()
	})
}

// readRequest reads up to the first request.
func readRequest(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
		t.Fatal(err)
	}
	readUntil(t, c, func(f http2.Frame) bool { return f.Header().Type == http2.FrameHeaders })
}

func readUntil(t *testing.T, c net.Conn, last func(http2.Frame) bool) {
	t.Helper()
	framer := http2.NewFramer(io.Discard, c)
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if last(f) {
			return
		}
	}
}

// echoOwner answers with what it gets.
type echoOwner struct{}

func (echoOwner) Accept(*h2.Batch, *h2.Conn) (*h2.Stream, h2.Receiver) {
	e := &echo{}
	return &e.Stream, e
}

func (echoOwner) Changed(*h2.Batch, *h2.Conn) {}

type echo struct{ h2.Stream }

func (e *echo) Headers(b *h2.Batch, kind h2.BlockKind, _ []h2.Field, end bool) {
	if kind == h2.BlockTrailers {
		e.SendHeaders(b, []h2.Field{{Name: "grpc-status", Value: "0"}}, true)
		return
	}
	e.SendHeaders(b, []h2.Field{{Name: ":status", Value: "200"}}, end)
}

func (e *echo) Data(b *h2.Batch, s *h2.Stream, p []byte, end bool) { e.Send(b, p, end, s) }
func (e *echo) Ended(*h2.Batch, h2.End)                            {}
func (e *echo) Expired(*h2.Batch)                                  {}
