package server

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"testing"
	"time"

	"loom/internal/config"
)

// estate is what a process that goes leaves: its sockets, by their keys.
type estate map[string]*os.File

func (e estate) Take(key string) (*os.File, bool) {
	f, ok := e[key]
	delete(e, key)
	return f, ok
}

// bequeath returns copies of the sockets of a binder.
func bequeath(t *testing.T, b *binder) estate {
	t.Helper()
	left := make(estate)
	for _, s := range b.all() {
		file, ok := s.bare.(interface{ File() (*os.File, error) })
		if !ok {
			t.Fatalf("%s has no descriptor", s.key)
		}
		f, err := file.File()
		if err != nil {
			t.Fatal(err)
		}
		left[s.key] = f
	}
	t.Cleanup(func() {
		for _, f := range left {
			_ = f.Close()
		}
	})
	return left
}

func bind(t *testing.T, b *binder, name, address string, mode config.FileMode) *socket {
	t.Helper()
	var a config.Address
	if err := a.UnmarshalText([]byte(address)); err != nil {
		t.Fatal(err)
	}
	s, err := b.listen(name, a, modes{mode, mode})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// greetOne accepts a connection and tells it who did.
func greetOne(s *socket, who string) {
	if nc, err := s.Accept(); err == nil {
		_, _ = io.WriteString(nc, who)
		_ = nc.Close()
	}
}

func wantGreeting(t *testing.T, nc net.Conn, who string) {
	t.Helper()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	heard, err := io.ReadAll(nc)
	if err = errors.Join(err, nc.Close()); err != nil || string(heard) != who {
		t.Fatalf("heard %q, %v; want %q", heard, err, who)
	}
}

func TestSocketKey(t *testing.T) {
	for _, c := range []struct{ network, address, name, want string }{
		{"tcp", "127.0.0.1:9999", "plain", "tcp 127.0.0.1:9999"},
		{"tcp", "localhost:9999", "edge", "tcp 127.0.0.1:9999"},
		{"tcp", ":443", "a", "tcp *:443"},
		{"tcp", "0.0.0.0:443", "b", "tcp *:443"},
		{"tcp", "[::]:443", "c", "tcp *:443"},
		{"tcp", "[::1]:443", "c", "tcp [::1]:443"},
		{"tcp", "[fe80::1%lo]:443", "c", "tcp [fe80::1%lo]:443"},
		{"tcp", "127.0.0.1:0", "one", "tcp 127.0.0.1:0 one"},
		{"tcp", "127.0.0.1:0", "two", "tcp 127.0.0.1:0 two"},
		{"unix", "/run/loomd/in.sock", "local", "unix /run/loomd/in.sock"},
		{"unix", "/run//loomd/./in.sock", "other", "unix /run/loomd/in.sock"},
	} {
		if got := SocketKey(c.network, c.address, c.name); got != c.want {
			t.Errorf("SocketKey(%q, %q, %q) = %q, want %q", c.network, c.address, c.name, got, c.want)
		}
	}
}

// A socket that is taken over is the one that the older process has: nobody
// who connects meanwhile is refused, whichever of the two closes first.
func TestAdoption(t *testing.T) {
	path := in(socketFolder(t), "in.sock")
	for name, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": "unix:" + path} {
		t.Run(name, func(t *testing.T) {
			older := newBinder(nil, false)
			first := bind(t, older, "plain", address, 0o600)
			younger := newBinder(bequeath(t, older), true)
			first.share(true)
			second := bind(t, younger, "plain", address, 0o660)
			if second.Addr().String() != first.Addr().String() {
				t.Fatalf("taken over at %s, was at %s", second.Addr(), first.Addr())
			}

			first.pause()
			waiting, err := net.Dial(first.Addr().Network(), first.Addr().String())
			if err != nil {
				t.Fatalf("while nobody accepts: %v", err)
			}
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			go greetOne(second, "second")
			wantGreeting(t, waiting, "second")
			if name == "tcp" {
				return
			}
			if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o660 {
				t.Fatalf("the file of the socket: %v, %v", info, err)
			}
			second.share(false)
			if err := second.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("the last owner left the file: %v", err)
			}
		})
	}
}

// While the older process may take its sockets back, the file stays.
func TestAdoptedFileStays(t *testing.T) {
	path := in(socketFolder(t), "in.sock")
	older := newBinder(nil, false)
	first := bind(t, older, "local", "unix:"+path, 0o600)
	second := bind(t, newBinder(bequeath(t, older), true), "local", "unix:"+path, 0o600)
	first.pause()
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	first.resume()
	go greetOne(first, "first")
	wantGreeting(t, nc, "first")
}

// A socket whose file is gone is of no use to anybody: a new one is made.
func TestAdoptionWithoutFile(t *testing.T) {
	path := in(socketFolder(t), "in.sock")
	older := newBinder(nil, false)
	first := bind(t, older, "local", "unix:"+path, 0o600)
	left := bequeath(t, older)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	first.share(true)
	second := bind(t, newBinder(left, true), "local", "unix:"+path, 0o600)
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go greetOne(second, "second")
	wantGreeting(t, nc, "second")
}

// What nobody left is bound, and what was taken once is not there twice.
func TestBindBesideInheritance(t *testing.T) {
	older := newBinder(nil, false)
	first := bind(t, older, "plain", "127.0.0.1:0", 0)
	younger := newBinder(bequeath(t, older), true)
	taken := bind(t, younger, "plain", "127.0.0.1:0", 0)
	fresh := bind(t, younger, "edge", "127.0.0.1:0", 0)
	if fresh.Addr().String() == first.Addr().String() || taken.Addr().String() != first.Addr().String() {
		t.Fatalf("was %s, taken %s, fresh %s", first.Addr(), taken.Addr(), fresh.Addr())
	}
	if n := len(younger.all()); n != 2 {
		t.Fatalf("%d sockets are open", n)
	}
	_ = fresh.Close()
	if n := len(younger.all()); n != 1 {
		t.Fatalf("%d sockets are open after one was closed", n)
	}
}
