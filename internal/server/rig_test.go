package server

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"

	"loom/internal/config"
	"loom/internal/loomtest"
)

func TestMain(m *testing.M) { os.Exit(loomtest.CheckLeaksMain(m)) }

// parse reads a loom.yaml.
func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, _, err := config.Parse("loom.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// oneBackend is a loom.yaml with the listeners given, of which every call goes
// to one backend.
func oneBackend(backend string, listeners ...string) string {
	return "listeners:\n  - " + strings.Join(listeners, "\n  - ") + `
backends: {b: {targets: ["` + backend + `"]}}
routes: [{name: all, backend: b}]
`
}

const anyPort = `{name: plain, address: "127.0.0.1:0"}`

// nobody is the address of a backend that is not there.
const nobody = "127.0.0.1:1"

// running is a server that serves.
type running struct {
	*Server
	t      *testing.T
	cfg    *config.Config
	log    *observer.ObservedLogs
	stop   func() // begins to drain
	cut    func()
	served chan struct{} // closed when Serve has returned
}

// serve runs what a loom.yaml describes until the test ends.
func serve(t *testing.T, text string) *running {
	t.Helper()
	core, log := observer.New(zap.DebugLevel)
	cfg := parse(t, text)
	s, err := New(cfg, Options{Log: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, s, log)
	r.cfg = cfg
	return r
}

func run(t *testing.T, s *Server, log *observer.ObservedLogs) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	until, cut := context.WithCancel(t.Context())
	r := &running{Server: s, t: t, log: log, stop: stop, cut: cut, served: make(chan struct{})}
	go func() {
		defer close(r.served)
		if err := s.Serve(ctx, until); err != nil {
			t.Errorf("Serve: %v", err)
		}
	}()
	t.Cleanup(func() {
		stop()
		cut()
		<-r.served
	})
	return r
}

// wantServed waits until Serve has returned.
func (r *running) wantServed() {
	r.t.Helper()
	select {
	case <-r.served:
	case <-time.After(20 * time.Second):
		r.t.Fatal("Serve has not returned")
	}
}

// wantServing checks that Serve has not returned.
func (r *running) wantServing() {
	r.t.Helper()
	select {
	case <-r.served:
		r.t.Fatal("Serve has returned")
	default:
	}
}

// dial connects to the listener at that place in the configuration.
func (r *running) dial(i int) net.Conn {
	r.t.Helper()
	conn, err := dial(r.Addresses()[i])
	if err != nil {
		r.t.Fatal(err)
	}
	return conn
}

func dial(address string) (net.Conn, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return net.Dial("unix", path)
	}
	return net.Dial("tcp", address)
}

// client is a gRPC client of the listener at that place in the configuration.
func (r *running) client(i int) *grpc.ClientConn {
	return loomtest.NewClient(r.t, func(context.Context, string) (net.Conn, error) { return dial(r.Addresses()[i]) })
}

// ask makes a unary call and returns the answer.
func ask(cc *grpc.ClientConn, method, question string, opts ...grpc.CallOption) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	in, out := []byte(question), []byte(nil)
	err := cc.Invoke(ctx, method, &in, &out, opts...)
	return string(out), err
}

// echo is a backend that answers with the question, held back while hold is
// locked.
func echo(t *testing.T, hold *sync.Mutex) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	backend := &loomtest.Backend{Unary: func(_ context.Context, _ string, question []byte) ([]byte, error) {
		hold.Lock()
		defer hold.Unlock()
		return question, nil
	}}
	backend.Serve(t, ln)
	return ln.Addr().String()
}

// socketFolder is a folder whose name is short enough for a Unix socket.
func socketFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "loom") //nolint:usetesting // t.TempDir may be too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

func unixListener(path, more string) string {
	return `{name: local, address: "unix:` + path + `"` + more + `}`
}

// eventually waits for what real sockets and a real clock bring about.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so after 20 s: %s", what)
		}
	}
}

func in(folder, name string) string { return filepath.Join(folder, name) }
