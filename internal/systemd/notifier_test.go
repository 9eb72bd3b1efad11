package systemd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// patience bounds every wait, far above what is needed.
const patience = 20 * time.Second

// manager is a systemd that listens.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	env  map[string]string // of a process that it starts
}

func newManager(t *testing.T) *manager {
	t.Helper()
	folder, err := os.MkdirTemp("", "loom") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &manager{t: t, conn: conn, env: map[string]string{"NOTIFY_SOCKET": path}}
}

func (m *manager) lookup(name string) (string, bool) {
	v, ok := m.env[name]
	return v, ok
}

// start is the Notifier of a process that it starts, or of a successor.
func (m *manager) start(successor bool) *Notifier {
	m.t.Helper()
	n, err := New(m.lookup, successor)
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

// hear returns the next message and the descriptors that came with it.
func (m *manager) hear() (string, []int) {
	m.t.Helper()
	text, files := make([]byte, 4096), make([]byte, 64)
	if err := m.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	n, oob, _, _, err := m.conn.ReadMsgUnix(text, files)
	if err != nil {
		m.t.Fatalf("systemd hears nothing: %v", err)
	}
	messages, err := syscall.ParseSocketControlMessage(files[:oob])
	if err != nil {
		m.t.Fatal(err)
	}
	var fds []int
	for _, c := range messages {
		more, err := syscall.ParseUnixRights(&c)
		if err != nil {
			m.t.Fatal(err)
		}
		fds = append(fds, more...)
	}
	return string(text[:n]), fds
}

func (m *manager) want(lines ...string) {
	m.t.Helper()
	if got, _ := m.hear(); got != strings.Join(lines, "\n") {
		m.t.Fatalf("systemd hears %q, want %q", got, lines)
	}
}

// wantNothing checks that no message is on its way: sending is done when the
// sender returns.
func (m *manager) wantNothing() {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		m.t.Fatal(err)
	}
	text := make([]byte, 4096)
	if n, err := m.conn.Read(text); err == nil {
		m.t.Fatalf("systemd hears %q", text[:n])
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A process that nobody started as a service says nothing, and works.
func TestWithoutSystemd(t *testing.T) {
	n, err := New(func(string) (string, bool) { return "", false }, false)
	must(t, err)
	for _, n := range []*Notifier{n, nil} {
		if n.Listens() {
			t.Fatal("there is a systemd")
		}
		must(t, n.Ready("a"))
		must(t, n.Status("b"))
		must(t, n.Stopping("c", time.Second))
		must(t, n.Main(t.Context(), 1))
		must(t, n.TakeOver())
		n.Watch(t.Context(), nil, nil)
	}
}

func TestMessages(t *testing.T) {
	m := newManager(t)
	n := m.start(false)
	must(t, n.Status("starting"))
	m.want("STATUS=starting")
	must(t, n.Ready("serving"))
	m.want("READY=1", "STATUS=serving")
	must(t, n.Status("serving"))
	m.wantNothing() // it knows
	must(t, n.Status("a problem:\n  loom.yaml:1:2\n"))
	m.want("STATUS=a problem: loom.yaml:1:2")
	must(t, n.Stopping("draining", 90*time.Second))
	m.want("STOPPING=1", "STATUS=draining", "EXTEND_TIMEOUT_USEC=90000000")
}

// The role goes to a successor: the one process is silent afterwards, whatever
// becomes of it, and the other one until then.
func TestRoleMoves(t *testing.T) {
	m := newManager(t)
	old, successor := m.start(false), m.start(true)
	must(t, successor.Ready("serving too"))
	must(t, successor.Status("serving"))
	must(t, successor.Stopping("", 0))
	if err := successor.Main(t.Context(), 1); err == nil {
		t.Fatal("a process that is not the main one gives the role away")
	}
	must(t, successor.Status("serving again"))
	m.wantNothing()

	moved := make(chan error, 1)
	go func() { moved <- old.Main(t.Context(), 4711) }()
	m.want("MAINPID=4711")
	barrier, fds := m.hear()
	if barrier != "BARRIER=1" || len(fds) != 1 {
		t.Fatalf("systemd hears %q with descriptors %v", barrier, fds)
	}
	select {
	case err := <-moved:
		t.Fatalf("the role has moved (%v) before systemd knows", err)
	case <-time.After(20 * time.Millisecond):
	}
	must(t, syscall.Close(fds[0]))
	must(t, <-moved)

	must(t, old.Status("draining"))
	must(t, old.Ready("again"))
	must(t, old.Stopping("", 0))
	if err := old.Main(t.Context(), 1); err == nil {
		t.Fatal("the role moves twice")
	}
	m.wantNothing()

	must(t, successor.TakeOver())
	m.want("STATUS=serving again")
	must(t, successor.TakeOver()) // once is enough
	m.wantNothing()
	must(t, successor.Stopping("bye", time.Second))
	m.want("STOPPING=1", "STATUS=bye", "EXTEND_TIMEOUT_USEC=1000000")
}

// A systemd that is stuck holds nobody up for longer than asked for.
func TestBarrierEnds(t *testing.T) {
	m := newManager(t)
	n := m.start(false)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := n.Main(ctx, 4711); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the role has moved, with %v", err)
	}
	m.want("MAINPID=4711")
	_, fds := m.hear()
	must(t, syscall.Close(fds[0]))
	must(t, n.Status("x"))
	m.wantNothing() // systemd may have heard
}

// What did not reach systemd is an error, and not taken for said.
func TestSystemdIsGone(t *testing.T) {
	m := newManager(t)
	n := m.start(false)
	path := m.env["NOTIFY_SOCKET"]
	must(t, os.Rename(path, path+".gone"))
	for _, err := range []error{n.Ready(""), n.Status("x"), n.Stopping("", 0), n.Main(t.Context(), 1)} {
		if !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("it is said into the void, with %v", err)
		}
	}
	must(t, os.Rename(path+".gone", path))
	must(t, n.Ready("here again")) // Main had no effect
	m.want("READY=1", "STATUS=here again")
}

func TestWatchdogOf(t *testing.T) {
	own, other := pid(), "1"
	for _, c := range []struct {
		name      string
		env       []string
		successor bool
		want      time.Duration
		wrong     bool
	}{
		{name: "none", env: nil},
		{name: "for us", env: []string{"WATCHDOG_USEC", "30000000", "WATCHDOG_PID", own}, want: 30 * time.Second},
		{name: "for anybody", env: []string{"WATCHDOG_USEC", "1"}, want: time.Microsecond},
		{name: "for another", env: []string{"WATCHDOG_USEC", "30000000", "WATCHDOG_PID", other}},
		{name: "taken over", env: []string{"WATCHDOG_USEC", "30000000", "WATCHDOG_PID", other}, successor: true, want: 30 * time.Second},
		{name: "no number", env: []string{"WATCHDOG_USEC", "30s"}, wrong: true},
		{name: "zero", env: []string{"WATCHDOG_USEC", "0"}, wrong: true},
		{name: "negative", env: []string{"WATCHDOG_USEC", "-5"}, wrong: true},
		{name: "too much", env: []string{"WATCHDOG_USEC", "9223372036854775807"}, wrong: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := map[string]string{"NOTIFY_SOCKET": "/nowhere"}
			for pair := range slices.Chunk(c.env, 2) {
				env[pair[0]] = pair[1]
			}
			n, err := New(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, c.successor)
			if n.watchdog != c.want || (err != nil) != c.wrong {
				t.Fatalf("watchdog %v, error %v", n.watchdog, err)
			}
		})
	}
}

func FuzzLine(f *testing.F) {
	f.Add("serving 2 listeners")
	f.Add("a\nREADY=1")
	f.Add(strings.Repeat("ä", statusBytes))
	f.Fuzz(func(t *testing.T, text string) {
		got := line(text)
		if len(got) > statusBytes || !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Fatalf("%q becomes %q", text, got)
		}
	})
}
