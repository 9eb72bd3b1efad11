package server

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/net/http2"

	"loom/internal/loomtest"
	"loom/internal/systemd"
)

// told runs a server under a systemd, which hears what is returned.
func told(t *testing.T, text string) (*running, func() string) {
	t.Helper()
	path := in(socketFolder(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	n, err := systemd.New(func(name string) (string, bool) {
		v, ok := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000000"}[name]
		return v, ok
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	core, log := observer.New(zap.DebugLevel)
	s, err := New(parse(t, text), Options{Log: zap.New(core), Systemd: n})
	if err != nil {
		t.Fatal(err)
	}
	hear := func() string {
		t.Helper()
		message := make([]byte, 4096)
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(message)
		if err != nil {
			t.Fatalf("systemd hears nothing: %v", err)
		}
		return string(message[:n])
	}
	return run(t, s, log), hear
}

// systemd hears when calls are served, that loomd is alive, what changes, and
// when it ends.
func TestAttend(t *testing.T) {
	r, hear := told(t, `
listeners: [`+anyPort+`]
backends: {b: {targets: ["`+nobody+`"], breaker: {}}}
routes: [{name: all, backend: b}]
restart: {drain: 45s}
`)
	if got := hear(); got != "READY=1\nSTATUS=serving 1 listener, 1 backend" {
		t.Fatalf("systemd hears %q", got)
	}
	loomtest.NewDownstream(t, r.dial(0)).WantSettingsAck()
	if got := hear(); got != "WATCHDOG=1" {
		t.Fatalf("systemd hears %q", got)
	}
	if err := r.controlBreaker("b", "open", "the test"); err != nil {
		t.Fatal(err)
	}
	if got := hear(); got != "STATUS=serving 1 listener, 1 backend; 1 breaker not closed" {
		t.Fatalf("systemd hears %q", got)
	}
	r.config.note(errors.New("loom.yaml:1:2: there is no backend\n  1 | x"))
	if got := hear(); got != "STATUS=serving 1 listener, 1 backend; 1 breaker not closed; not in force: loom.yaml:1:2: there is no backend" {
		t.Fatalf("systemd hears %q", got)
	}
	r.stop()
	if got := hear(); got != "STOPPING=1\nSTATUS=draining, at most 45s\nEXTEND_TIMEOUT_USEC=60000000" {
		t.Fatalf("systemd hears %q", got)
	}
	r.wantServed()
}

// A loomd with busy listeners and no backend is alive; the connections by which
// it finds out leave nothing behind.
func TestAlive(t *testing.T) {
	r := serve(t, oneBackend(nobody, anyPort, `{name: age, address: "127.0.0.1:0", proxy_protocol: true, limits: {connections: 1}}`))
	for range 3 {
		if err := r.alive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range r.now().listeners {
		eventually(t, "the connections are gone", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.guests) == 0
		})
	}
	r.stop()
	r.wantServed()
	if err := r.alive(t.Context()); err != nil {
		t.Fatalf("a loomd that ends is not taken for dead: %v", err)
	}
}

// A listener that is stuck is not alive, whatever the others do.
func TestStuckIsNotAlive(t *testing.T) {
	r := serve(t, oneBackend(nobody, anyPort, `{name: stuck, address: "127.0.0.1:0"}`))
	stuck := r.now().listeners[1]
	stuck.mu.Lock()
	answer := make(chan error, 1)
	go func() { answer <- r.alive(t.Context()) }()
	select {
	case err := <-answer:
		t.Errorf("it is alive, with %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	stuck.mu.Unlock()
	if err := <-answer; err != nil {
		t.Errorf("it is not alive again: %v", err)
	}
}

// A connection that is not answered in time is told of, with why.
func TestUnansweredPing(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"nobody reads": func(net.Conn) {},
		"nobody answers": func(nc net.Conn) {
			framer := http2.NewFramer(nc, nc)
			preface := make([]byte, len(http2.ClientPreface))
			_, _ = nc.Read(preface)
			for {
				if _, err := framer.ReadFrame(); err != nil {
					return
				}
				_ = framer.WriteSettingsAck()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			done := make(chan struct{})
			go func() { defer close(done); serve(far) }()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			err := pinged(ctx, near)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer to a ping") {
				t.Errorf("it says %v", err)
			}
			_, _ = near.Close(), far.Close()
			<-done
		})
	}
}
