//go:build linux

package restart

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"loom/test/daemon"
)

// house is a loomd with a listener of each kind.
type house struct {
	*family

	secure, page, figures, local string
	ca                           *daemon.Authority
}

// layout is a loom.yaml with the listeners given.
const layout = `
listeners:
%s
backends: {main: {targets: [%q]}}
routes: [{name: all, backend: main}]
inspector: {address: %q}
metrics: {address: %q}
restart: {drain: 5s, probation: 200ms}
`

func startHouse(t *testing.T, backend string) *house {
	t.Helper()
	folder := daemon.SocketFolder(t)
	f := &family{t: t, folder: folder, config: filepath.Join(folder, "loom.yaml"), socket: filepath.Join(folder, "admin.sock"), listen: daemon.FreeAddress(t)}
	h := &house{
		family: f, secure: daemon.FreeAddress(t), page: daemon.FreeAddress(t), figures: daemon.FreeAddress(t), local: filepath.Join(folder, "in.sock"),
		ca: daemon.NewAuthority(t, "test"),
	}
	pair := h.ca.For("localhost")
	h.write(backend,
		fmt.Sprintf("{name: plain, address: %q}", f.listen),
		fmt.Sprintf("{name: edge, address: %q, tls: {cert_file: %q, key_file: %q}}", h.secure, pair.Cert, pair.Key),
		fmt.Sprintf("{name: local, address: %q, mode: \"0660\"}", "unix:"+h.local))
	t.Setenv("STATE_DIRECTORY", folder)
	f.Process = program.Start(t, "-config", f.config, "-admin", f.socket, "-quiet")
	t.Cleanup(f.end)
	f.WaitListening(t, f.listen)
	f.WaitListening(t, "unix:"+f.socket)
	return h
}

// write writes the configuration, with the listeners given.
func (h *house) write(backend string, listeners ...string) {
	h.t.Helper()
	text := fmt.Sprintf(layout, "  - "+strings.Join(listeners, "\n  - "), backend, h.page, h.figures)
	if err := os.WriteFile(h.config, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// trust is how clients trust the house. It remembers sessions.
func (h *house) trust(sessions tls.ClientSessionCache) *tls.Config {
	return &tls.Config{RootCAs: h.ca.Pool(), ServerName: "localhost", NextProtos: []string{"h2"}, ClientSessionCache: sessions}
}

// tryAll uses every listener on a fresh connection.
func (h *house) tryAll() {
	h.t.Helper()
	secure := grpc.WithTransportCredentials(credentials.NewTLS(h.trust(nil)))
	for name, conn := range map[string]*grpc.ClientConn{
		"tcp": connect(h.t, h.listen), "unix": connect(h.t, "unix:"+h.local), "tls": connect(h.t, h.secure, secure),
	} {
		if err := echo(conn, name); err != nil {
			h.t.Errorf("%s: %v", name, err)
		}
	}
	for name, address := range map[string]string{"the inspector": h.page + "/", "metrics": h.figures + "/readyz"} {
		h.get(name, "http://"+address)
	}
}

func (h *house) get(name, url string) {
	h.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		h.t.Errorf("%s: %v", name, err)
		return
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		h.t.Errorf("%s answers %s", name, answer.Status)
	}
}

// Listeners of all kinds cross, again and again: each answers on the same
// address in each process, and the files of Unix sockets are the same ones
// until the last process ends.
func TestAllKindsCross(t *testing.T) {
	h := startHouse(t, startBackend(t))
	h.tryAll()
	before := map[string]fs.FileInfo{}
	for _, path := range []string{h.local, h.socket} {
		before[path] = lstat(t, path)
	}
	for range 3 {
		h.reload()
		h.tryAll()
		h.await("the older process ends", func() bool { return len(h.generations()) == 1 })
		h.tryAll()
		for path, was := range before {
			if is := lstat(t, path); !os.SameFile(was, is) || was.Mode() != is.Mode() {
				t.Errorf("%s was %v and is %v", path, was, is)
			}
		}
	}
	h.stop()
	for path := range before {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

func lstat(t *testing.T, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// A client that had a session with one process resumes it with the next.
func TestSessionsResume(t *testing.T) {
	h := startHouse(t, startBackend(t))
	sessions := tls.NewLRUClientSessionCache(1)
	if h.shake(sessions) {
		t.Fatal("the first session is a resumed one")
	}
	for n := range 3 {
		h.reload()
		h.await("the older process ends", func() bool { return len(h.generations()) == 1 })
		if !h.shake(sessions) {
			t.Errorf("after reload %d the session is not resumed", n+1)
		}
	}
}

// shake makes a TLS connection, reads what comes on it, which tickets are part
// of, and reports whether it resumed a session.
func (h *house) shake(sessions tls.ClientSessionCache) bool {
	h.t.Helper()
	nc, err := tls.Dial("tcp", h.secure, h.trust(sessions))
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = nc.Close() }() // what it had to say has been read
	framer := http2.NewFramer(nc, nc)
	_, err = io.WriteString(nc, http2.ClientPreface)
	err = errors.Join(err, nc.SetDeadline(time.Now().Add(20*time.Second)), framer.WriteSettings())
	if err == nil {
		_, err = framer.ReadFrame()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return nc.ConnectionState().DidResume
}

// The configuration of the next process may name other listeners. Those that
// stay are the same sockets, whatever they are called and however the address
// is written; those that go take their files with them.
func TestListenersChange(t *testing.T) {
	backend := startBackend(t)
	h := startHouse(t, backend)
	fresh := daemon.FreeAddress(t)
	_, port, err := net.SplitHostPort(h.listen)
	if err != nil {
		t.Fatal(err)
	}
	h.write(backend,
		fmt.Sprintf("{name: renamed, address: %q}", "localhost:"+port),
		fmt.Sprintf("{name: fresh, address: %q}", fresh),
		fmt.Sprintf("{name: further, address: %q}", "unix:"+filepath.Join(h.folder, "further.sock")))
	out, _, code := h.tryReload()
	if code != 0 || !strings.Contains(out, "4 sockets taken over, 2 bound, 2 given up") {
		t.Errorf("loomctl reload ended with %d and said %s", code, out)
	}
	for _, address := range []string{h.listen, fresh, "unix:" + filepath.Join(h.folder, "further.sock")} {
		if err := echo(connect(t, address), address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	h.await("the older process ends", func() bool { return len(h.generations()) == 1 })
	if _, err := os.Lstat(h.local); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket that nobody listens on is left: %v", err)
	}
	if nc, err := net.Dial("tcp", h.secure); err == nil {
		_ = nc.Close()
		t.Error("the listener that is gone takes connections")
	}
}

// Connections that wait in the queue of a listener are served by whichever
// process takes them.
func TestFullBacklog(t *testing.T) {
	const waiting = 3000
	f := startFamily(t, startBackend(t), "restart: {drain: 10s, probation: 200ms}\n")
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	f.Signal(t, syscall.SIGSTOP)
	answers := make(chan error, waiting)
	dialed := make(chan struct{}, waiting)
	for range waiting {
		go func() { answers <- waitInLine(ctx, f.listen, dialed) }()
	}
	for range waiting {
		<-dialed
	}
	f.Signal(t, syscall.SIGCONT)
	f.reload()
	failed := 0
	for range waiting {
		if err := <-answers; err != nil {
			if failed++; failed < 10 {
				t.Error(err)
			}
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d failed", failed, waiting)
	}
}

// waitInLine connects, and then wants to be served, or told to come again.
func waitInLine(ctx context.Context, address string, dialed chan<- struct{}) error {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	dialed <- struct{}{}
	if err != nil {
		return err
	}
	defer nc.Close()
	_, err = greeted(nc, 60*time.Second)
	return err
}
