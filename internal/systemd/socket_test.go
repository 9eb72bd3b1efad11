package systemd

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func pid() string { return strconv.Itoa(os.Getpid()) }

// passed puts copies of the files under numbers that follow each other, as
// systemd does, and returns the first.
func passed(t *testing.T, files ...interface{ File() (*os.File, error) }) int {
	t.Helper()
	first := 0
	for i, f := range files {
		file, err := f.File()
		must(t, err)
		fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD, max(300, first+i))
		must(t, err)
		must(t, file.Close())
		if i == 0 {
			first = fd
		}
		if fd != first+i {
			t.Fatalf("descriptor %d is taken", first+i)
		}
	}
	return first
}

func activated(count int, names string) Env {
	env := map[string]string{"LISTEN_PID": pid(), "LISTEN_FDS": strconv.Itoa(count), "LISTEN_FDNAMES": names}
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

func TestSockets(t *testing.T) {
	folder, err := os.MkdirTemp("", "loom") //nolint:usetesting // t.TempDir may be too long for a socket
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	t.Cleanup(func() { _ = tcp.Close() })
	path := filepath.Join(folder, "in.sock")
	local, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	t.Cleanup(func() { _ = local.Close() })
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	t.Cleanup(func() { _ = udp.Close() })
	pipe, other, err := os.Pipe()
	must(t, err)
	defer other.Close()

	first := passed(t, tcp, udp, local, bareFile{pipe})
	all, err := sockets(activated(5, "plain:u:"), first)
	for _, useless := range []int{first + 1, first + 3} {
		must(t, unix.Close(useless)) // they are left as they were
	}
	for _, wrong := range []string{"(u) of systemd: it does not listen", "(unknown) of systemd: it is no socket", "it is not open"} {
		if err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("it says %v, and not %q", err, wrong)
		}
	}
	if len(all) != 2 {
		t.Fatalf("sockets %v", all)
	}
	for i, want := range []Socket{{Name: "plain", Addr: tcp.Addr()}, {Name: "unknown", Addr: local.Addr()}} {
		got := all[i]
		if got.Name != want.Name || got.Addr.String() != want.Addr.String() || got.Addr.Network() != want.Addr.Network() {
			t.Errorf("socket %d is %v, want %v", i, got, want)
		}
		flags, err := unix.FcntlInt(got.File.Fd(), unix.F_GETFD, 0)
		if must(t, err); flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("socket %d would leak to other programs", i)
		}
		must(t, got.File.Close())
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket's file is gone: %v", err)
	}
}

// bareFile is a file that is no connection.
type bareFile struct{ file *os.File }

func (b bareFile) File() (*os.File, error) { return b.file, nil }

func TestNoSockets(t *testing.T) {
	for name, c := range map[string]struct {
		env   []string
		wrong bool
	}{
		"none":           {},
		"of a parent":    {env: []string{"LISTEN_PID=1", "LISTEN_FDS=3"}},
		"no number":      {env: []string{"LISTEN_PID=" + pid(), "LISTEN_FDS=x"}, wrong: true},
		"below zero":     {env: []string{"LISTEN_PID=" + pid(), "LISTEN_FDS=-1"}, wrong: true},
		"too many":       {env: []string{"LISTEN_PID=" + pid(), "LISTEN_FDS=999999999"}, wrong: true},
		"of nobody":      {env: []string{"LISTEN_PID=x", "LISTEN_FDS=3"}},
		"none, told so":  {env: []string{"LISTEN_PID=" + pid(), "LISTEN_FDS=0"}},
		"forgotten, ids": {env: []string{"LISTEN_PID=" + pid()}, wrong: true},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := Sockets(func(name string) (string, bool) {
				for _, e := range c.env {
					if v, ok := strings.CutPrefix(e, name+"="); ok {
						return v, true
					}
				}
				return "", false
			})
			if len(all) != 0 || (err != nil) != c.wrong {
				t.Fatalf("sockets %v, error %v", all, err)
			}
		})
	}
}
