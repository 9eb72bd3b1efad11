package server

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/net/http2"

	"loom/internal/loomtest"
)

// Beyond the limit of connections, a peer hears GOAWAY and is closed; when
// another has gone, there is a place again.
func TestConnectionLimit(t *testing.T) {
	r := serve(t, oneBackend(nobody, anyPort)+"limits: {connections: 2}\n")
	first := loomtest.NewDownstream(t, r.dial(0))
	first.WantSettingsAck()
	second := loomtest.NewDownstream(t, r.dial(0))
	second.WantSettingsAck()
	for range 3 {
		third := loomtest.NewDownstream(t, r.dial(0))
		if g := third.WantGoAway(http2.ErrCodeNo); g.LastStreamID != 0 || g.Debug != "too many connections" {
			t.Fatalf("GOAWAY %+v", g)
		}
		third.WantClosed()
	}
	if n := r.counters.ConnectionsRefused.Load(); n != 3 {
		t.Fatalf("ConnectionsRefused = %d", n)
	}
	first.Close()
	eventually(t, "there is a place again", func() bool {
		refused := r.counters.ConnectionsRefused.Load()
		down := loomtest.NewDownstream(t, r.dial(0))
		down.WantSettings()
		taken := r.counters.ConnectionsRefused.Load() == refused
		if !taken {
			down.WantClosed()
		}
		return taken
	})
}

// Peers beyond the limit that do not go keep nobody waiting: neither those
// that come after them, nor the end of the server for long.
func TestManyRefusals(t *testing.T) {
	r := serve(t, oneBackend(nobody, anyPort)+"limits: {connections: 1}\n")
	loomtest.NewDownstream(t, r.dial(0)).WantSettingsAck()
	const peers = 3 * refusals
	for range peers {
		conn := r.dial(0)
		t.Cleanup(func() { _ = conn.Close() })
	}
	start := time.Now()
	eventually(t, "all are refused", func() bool { return r.counters.ConnectionsRefused.Load() == peers })
	if took := time.Since(start); took > 5*time.Second {
		t.Fatalf("it took %v to refuse %d peers", took, peers)
	}
}

// brokenListener cannot accept for a while.
type brokenListener struct {
	*loomtest.Listener
	failures int
	times    []time.Time
}

func (b *brokenListener) Accept() (net.Conn, error) {
	b.times = append(b.times, time.Now())
	if len(b.times) <= b.failures {
		return nil, os.NewSyscallError("accept4", syscall.EMFILE)
	}
	return b.Listener.Accept()
}

// serveOn runs a server with one listener, which need not be a socket.
func serveOn(t *testing.T, ln net.Listener) *running {
	t.Helper()
	core, log := observer.New(zap.DebugLevel)
	cfg := parse(t, oneBackend(nobody, anyPort))
	cfg.Listeners = nil
	s, err := New(cfg, Options{Log: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	s.now().listeners = append(s.now().listeners, newListener(ln, &terms{name: "plain", most: 100}))
	return run(t, s, log)
}

// Without descriptors, accepting pauses for longer and longer, and then goes
// on as if nothing had been.
func TestAcceptPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := &brokenListener{Listener: loomtest.Listen(), failures: 12}
		r := serveOn(t, ln)
		time.Sleep(time.Minute)
		conn, err := ln.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		loomtest.NewDownstream(t, conn).WantSettingsAck()
		synctest.Wait()
		want := 5 * time.Millisecond
		for i := range ln.failures {
			if took := ln.times[i+1].Sub(ln.times[i]); took != want {
				t.Fatalf("pause %d took %v, want %v", i, took, want)
			}
			want = min(2*want, time.Second)
		}
		if n := r.log.FilterMessage("accept").Len(); n != ln.failures {
			t.Fatalf("%d lines in the log for %d failures", n, ln.failures)
		}
	})
}

// The end of the server does not wait for such a pause.
func TestAcceptPauseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := serveOn(t, &brokenListener{Listener: loomtest.Listen(), failures: 1000})
		time.Sleep(time.Minute)
		start := time.Now()
		r.stop()
		r.wantServed()
		if took := time.Since(start); took != 0 {
			t.Fatalf("it took %v", took)
		}
	})
}

func TestSocketMode(t *testing.T) {
	for more, want := range map[string]fs.FileMode{
		"":               0o600,
		`, mode: "0660"`: 0o660,
		`, mode: "0666"`: 0o666,
		`, mode: "0640"`: 0o640,
	} {
		t.Run(want.String(), func(t *testing.T) {
			path := in(socketFolder(t), "in.sock")
			serve(t, oneBackend(nobody, unixListener(path, more)))
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != want|fs.ModeSocket {
				t.Fatalf("mode %v, want %v", info.Mode(), want|fs.ModeSocket)
			}
		})
	}
}

// Until its mode is set, a socket is its owner's alone.
func TestSocketIsBornPrivate(t *testing.T) {
	path := in(socketFolder(t), "in.sock")
	lc := net.ListenConfig{Control: ownerOnly}
	ln, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		t.Fatalf("born with mode %v", info.Mode())
	}
}

// The socket of a process that is gone is replaced.
func TestStaleSocket(t *testing.T) {
	path := in(socketFolder(t), "in.sock")
	leaveStale(t, path)
	r := serve(t, oneBackend(nobody, unixListener(path, "")))
	loomtest.NewDownstream(t, r.dial(0)).WantSettingsAck()
}

func leaveStale(t *testing.T, path string) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = ln.Close()
}

// A socket that somebody answers on stays, and works.
func TestSocketInUse(t *testing.T) {
	path := in(socketFolder(t), "in.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = New(parse(t, oneBackend(nobody, unixListener(path, ""))), Options{Log: zap.NewNop()})
	if err == nil || !strings.Contains(err.Error(), `listener "local"`) || !strings.Contains(err.Error(), "unix:"+path) || !errors.Is(err, errTaken) {
		t.Fatalf("error %v", err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the other process's socket is gone: %v", err)
	}
	_ = conn.Close()
}

// What is no socket stays as it is, a link to one included.
func TestForeignFile(t *testing.T) {
	for name, put := range map[string]func(t *testing.T, path string) error{
		"file":   func(_ *testing.T, path string) error { return os.WriteFile(path, []byte("precious"), 0o640) },
		"folder": func(_ *testing.T, path string) error { return os.Mkdir(path, 0o750) },
		"link": func(t *testing.T, path string) error {
			leaveStale(t, path+".other")
			return os.Symlink(path+".other", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := in(socketFolder(t), "in.sock")
			if err := put(t, path); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = New(parse(t, oneBackend(nobody, unixListener(path, ""))), Options{Log: zap.NewNop()})
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "no socket") {
				t.Fatalf("error %v", err)
			}
			after, err := os.Lstat(path)
			if err != nil || !os.SameFile(before, after) || before.Mode() != after.Mode() {
				t.Fatalf("before %v, after %v, %v", before, after, err)
			}
		})
	}
}

// A folder that is not there or that nobody may write to gives a plain error.
func TestSocketFolderIsMissing(t *testing.T) {
	path := in(socketFolder(t), "none/in.sock")
	_, err := New(parse(t, oneBackend(nobody, unixListener(path, ""))), Options{Log: zap.NewNop()})
	if want := `listener "local": listen on unix:` + path + ": no such file or directory"; err == nil || err.Error() != want {
		t.Fatalf("error %v, want %s", err, want)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("the cause is lost")
	}
}

// The file goes with the listener.
func TestSocketIsRemoved(t *testing.T) {
	path := in(socketFolder(t), "in.sock")
	r := serve(t, oneBackend(nobody, unixListener(path, "")))
	r.stop()
	r.wantServed()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the socket is still there: %v", err)
	}
}

// It stays when somebody else's has taken its place.
func TestForeignSocketStaysAtTheEnd(t *testing.T) {
	path := in(socketFolder(t), "in.sock")
	r := serve(t, oneBackend(nobody, unixListener(path, "")))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	r.stop()
	r.wantServed()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the other process's socket is gone: %v", err)
	}
	_ = conn.Close()
}

// A connection that comes as the listener closes is none too many, and hears
// that it has to go elsewhere.
func TestConnectionAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := loomtest.Listen()
		conn, err := ln.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		down := loomtest.NewDownstream(t, conn)
		r := serveOn(t, &lateListener{ln, make(chan struct{})})
		time.Sleep(time.Second)
		r.stop()
		down.WantGoAway(http2.ErrCodeNo)
		down.WantClosed()
		down.Close()
		r.wantServed()
		if n := r.counters.ConnectionsRefused.Load(); n != 0 {
			t.Fatalf("ConnectionsRefused = %d", n)
		}
	})
}

// lateListener hands out its connections when it is closed.
type lateListener struct {
	*loomtest.Listener
	closed chan struct{}
}

func (l *lateListener) Accept() (net.Conn, error) {
	<-l.closed
	conn, err := l.Listener.Accept()
	if err == nil {
		return conn, l.Listener.Close()
	}
	return nil, err
}

func (l *lateListener) Close() error {
	close(l.closed)
	return nil
}
