package server

import (
	"net"
	"os"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"loom/internal/loomtest"
	"loom/internal/systemd"
)

// made is a socket as systemd makes them: bound, and listened on by nobody yet.
func made(t *testing.T, name, network, address string) systemd.Socket {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	defer l.Close()
	file, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	return systemd.Socket{Name: name, Addr: l.Addr(), File: file}
}

// serveOnSockets is serve, with sockets of systemd.
func serveOnSockets(t *testing.T, text string, sockets ...systemd.Socket) *running {
	t.Helper()
	core, log := observer.New(zap.DebugLevel)
	s, err := New(parse(t, text), Options{Log: zap.New(core), Sockets: sockets})
	if err != nil {
		t.Fatal(err)
	}
	return run(t, s, log)
}

// Sockets find their listeners by address, or by name wherever they are; calls
// come in on them.
func TestActivation(t *testing.T) {
	folder := socketFolder(t)
	path := in(folder, "in.sock")
	byAddress, byName := made(t, "loomd.socket", "tcp", "127.0.0.1:0"), made(t, "edge", "tcp", "127.0.0.1:0")
	local := made(t, "loomd.socket", "unix", path)
	r := serveOnSockets(t, oneBackend(nobody,
		`{name: plain, address: "`+byAddress.Addr.String()+`"}`, `{name: edge, address: "127.0.0.1:0"}`, unixListener(path, "")),
		local, byName, byAddress)
	for i, want := range []string{byAddress.Addr.String(), byName.Addr.String(), "unix:" + path} {
		if got := r.Addresses()[i]; got != want {
			t.Errorf("listener %d is at %s, not on the socket at %s", i, got, want)
		}
		loomtest.NewDownstream(t, r.dial(i)).WantSettingsAck()
	}
	if n := r.log.FilterMessageSnippet("systemd").Len(); n != 1 { // byName is elsewhere
		t.Errorf("%d warnings: %v", n, r.log.All())
	}
	r.stop()
	r.wantServed()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the file of systemd's socket is gone: %v", err)
	}
}

// What no listener is for is told, and does no harm.
func TestSocketsNobodyTakes(t *testing.T) {
	path := in(socketFolder(t), "in.sock")
	strange, twice := made(t, "strange", "tcp", "127.0.0.1:0"), made(t, "plain", "tcp", "127.0.0.1:0")
	r := serveOnSockets(t, oneBackend(nobody, anyPort, unixListener(path, "")),
		strange, made(t, "plain", "tcp", "127.0.0.1:0"), twice, made(t, "local", "unix", path+".other"))
	if n := r.log.FilterMessageSnippet("is not used").Len(); n != 3 {
		t.Errorf("%d sockets are not used: %v", n, r.log.All())
	}
	if r.Addresses()[1] != "unix:"+path {
		t.Errorf("the listener is at %s", r.Addresses()[1])
	}
	for _, s := range []systemd.Socket{strange, twice} {
		if _, err := dial(s.Addr.String()); err == nil {
			t.Errorf("somebody listens on %s", s.Addr)
		}
	}
	loomtest.NewDownstream(t, r.dial(1)).WantSettingsAck()
}
