package inspector

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"loom/internal/callevent"
	"loom/internal/capture"
	"loom/internal/decode"
	"loom/internal/loomtest"
)

// loopbackListener is an in-memory listener that says it is on loopback.
type loopbackListener struct{ *loomtest.Listener }

func (loopbackListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9998} }

// memoryRig is an inspector over in-memory connections, for tests of time. It
// runs in a bubble of synctest.
func memoryRig(t *testing.T) (*Server, *capture.Store, *loomtest.Listener) {
	t.Helper()
	store, err := capture.New(capture.Options{Generation: 7, Calls: 1000, Bytes: 16 << 20, MessageBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	l := loomtest.Listen()
	s, err := New(Options{
		RecordsOptions: RecordsOptions{Store: store, Decoder: decode.New(decode.Limits{}, nil), Schemas: newFakeSchemas(t)}, Log: zap.NewNop(),
		Address: "127.0.0.1:9998", Token: testToken, Info: Info{Generation: 7},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, loopbackListener{l}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, store, l
}

// askForStream sends a request for the stream and reads nothing.
func askForStream(t *testing.T, s *Server, l *loomtest.Listener) net.Conn {
	t.Helper()
	conn, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET /api/stream HTTP/1.1\r\nHost: 127.0.0.1:9998\r\nCookie: %s=%s\r\n\r\n", s.auth.name, s.auth.value); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestReaderThatTakesNothingIsDropped opens a stream over a connection that
// holds 4 KiB and never reads it.
func TestReaderThatTakesNothingIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, store, l := memoryRig(t)
		l.SetCapacity(4 << 10)
		conn := askForStream(t, s, l)
		defer func() { _ = conn.Close() }()
		synctest.Wait()
		if len(s.streams) != 1 {
			t.Fatalf("%d streams are open, want 1", len(s.streams))
		}
		f := store.Begin(callevent.Call{ID: 1, At: time.Now(), Path: "/a.B/" + strings.Repeat("x", 8<<10)})
		f.Routed(time.Now(), "", "")
		time.Sleep(frameTime / 2)
		if len(s.streams) != 1 {
			t.Error("a slow reader was dropped before its time")
		}
		time.Sleep(frameTime)
		if len(s.streams) != 0 {
			t.Error("a reader that takes nothing still has its stream")
		}
		f.Ended(time.Now(), &callevent.Summary{})
	})
}

// TestStreamOutlivesRequestLimits holds that a stream lasts for hours, with a
// sign of life each second, and that a request that never comes is cut.
func TestStreamOutlivesRequestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, l := memoryRig(t)
		conn := askForStream(t, s, l)
		defer func() { _ = conn.Close() }()
		idle, err := l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = idle.Close() }()
		if _, err := io.WriteString(idle, "GET / HTTP/1.1\r\nHost:"); err != nil {
			t.Fatal(err)
		}
		seconds := make(chan int, 1)
		go func() {
			n, buf := 0, make([]byte, 64<<10)
			for {
				k, err := conn.Read(buf)
				n += strings.Count(string(buf[:k]), "event: status")
				if err != nil {
					seconds <- n
					return
				}
			}
		}()
		time.Sleep(2 * headerTime)
		if _, err := io.ReadAll(idle); err != nil {
			t.Errorf("a request that never came was not cut: %v", err)
		}
		time.Sleep(time.Hour)
		if len(s.streams) != 1 {
			t.Error("the stream ended by itself")
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		if n := <-seconds; n < 3500 || n > 3700 {
			t.Errorf("%d signs of life in about an hour", n)
		}
	})
}
