//go:build linux

package hotrestart

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"loom/internal/loomtest"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"bin/loomd", "other/loomd", "plain"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o755)
		if name == "plain" {
			mode = 0o644
		}
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, path, want string }{
		{filepath.Join(dir, "bin", "loomd"), "", "bin/loomd"},
		{"bin/loomd", "", "bin/loomd"},
		{"./bin/../other/loomd", "", "other/loomd"},
		{"loomd", "/nowhere:other:bin", "other/loomd"},
		{"loomd", filepath.Join(dir, "bin") + ":other", "bin/loomd"},
		{"loomd", "/nowhere", "find the program: loomd is nowhere in PATH"},
		{"./gone", "", "find the program: stat"},
		{"./plain", "", "find the program: " + filepath.Join(dir, "plain") + " cannot be executed"},
		{"", "", "find the program: it was started without a name"},
	} {
		command := Command{Args: []string{c.name}, Env: []string{"PATH=" + c.path, "PATH=/second"}, Dir: dir}
		path, err := command.find()
		if err != nil && !strings.HasPrefix(err.Error(), c.want) || err == nil && path != filepath.Join(dir, c.want) {
			t.Errorf("%q in PATH=%s: %q, %v", c.name, c.path, path, err)
		}
	}
}

// TestSuccessorIsStartedAlike looks at what a successor is given.
func TestSuccessorIsStartedAlike(t *testing.T) {
	loomtest.CheckLeaks(t)
	c := successorCommand(t, "serve", "COLOUR=red", "LISTEN_PID=1", "LISTEN_FDS=2", "LISTEN_FDNAMES=a:b", "WATCHDOG_PID=1",
		"WATCHDOG_USEC=5", "NOTIFY_SOCKET=/run/x", variable+"=of another time")
	s, err := Hand(patient(t), c, Offer{Generation: 2}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeSuccessor(s)
	if err := s.Link().Send(patient(t), Message{Name: "environment"}); err != nil {
		t.Fatal(err)
	}
	m, err := s.Link().Receive(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(m.Data), "\n")
	for _, want := range []string{"COLOUR=red", "WATCHDOG_USEC=5", "NOTIFY_SOCKET=/run/x", "dir=" + c.Dir, "limit=" + fileLimit()} {
		if !slices.Contains(lines, want) {
			t.Errorf("it has no %s", want)
		}
	}
	for _, line := range lines {
		if name, _, _ := strings.Cut(line, "="); strings.HasPrefix(name, "LISTEN_") || name == "WATCHDOG_PID" || name == variable {
			t.Errorf("it has %s", line)
		}
	}
}

// TestProgramIsReplaced starts what lies in the place of the program now.
func TestProgramIsReplaced(t *testing.T) {
	loomtest.CheckLeaks(t)
	self := successorCommand(t, "serve").Args[0]
	c := successorCommand(t, "serve", "TAKE=tcp")
	script := filepath.Join(c.Dir, "program")
	listener, socket := listen(t, "tcp")
	offer := Offer{Generation: 2, Sockets: []Socket{socket}}
	c.Args = []string{"./program"}

	writeScript(t, script, "echo an old build >&2; exit 1")
	if _, err := Hand(patient(t), c, offer, Options{Stderr: scratch(t)}); err == nil || !strings.Contains(err.Error(), "an old build") {
		t.Errorf("the first build: %v", err)
	}
	writeScript(t, script, "exec "+self)
	s, err := Hand(patient(t), c, offer, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeSuccessor(s)
	if text := ask(t, listener.Addr()); text != "generation 2" {
		t.Errorf("the second build answers %q", text)
	}
}

// TestManySockets is more than fit into a message of the kernel.
func TestManySockets(t *testing.T) {
	loomtest.CheckLeaks(t)
	before := openDescriptors(t)
	const count = 600
	var sockets []Socket
	var listeners []*net.TCPListener
	var keys []string
	for i := range count {
		key := fmt.Sprintf("tcp-%d-%s", i, strings.Repeat("x", 100))
		l, s := listen(t, key)
		sockets, listeners, keys = append(sockets, s), append(listeners, l), append(keys, key)
	}
	s, err := Hand(patient(t), successorCommand(t, "serve", "TAKE="+strings.Join(keys, " ")), Offer{Generation: 2, Sockets: sockets}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.Plan().Reused); n != count {
		t.Errorf("it took %d of %d sockets", n, count)
	}
	for i := 0; i < count; i += 97 {
		if text := ask(t, listeners[i].Addr()); text != "generation 2" {
			t.Errorf("socket %d: %q", i, text)
		}
	}
	closeSuccessor(s)
	for _, l := range listeners {
		_ = l.Close()
	}
	expectDescriptors(t, before)
}

// TestTooFewDescriptors has a successor with a low limit say so.
func TestTooFewDescriptors(t *testing.T) {
	loomtest.CheckLeaks(t)
	var sockets []Socket
	for i := range 100 {
		_, s := listen(t, fmt.Sprintf("tcp-%d", i))
		sockets = append(sockets, s)
	}
	stderr := scratch(t)
	before := countDescriptors(t)
	c := successorCommand(t, "serve")
	script := filepath.Join(c.Dir, "program")
	writeScript(t, script, "ulimit -n 50; exec "+c.Args[0])
	c.Args = []string{script}
	_, err := Hand(patient(t), c, Offer{Generation: 2, Sockets: sockets}, Options{Stderr: stderr})
	if err == nil || !strings.Contains(err.Error(), "sockets: not all descriptors could be received: the limit of open files (LimitNOFILE, ulimit -n) is too low") {
		t.Errorf("failed with %v", err)
	}
	expectDescriptors(t, before)
}

// TestFirstProcess hands over as PID 1 of its own namespace, where the
// successor has to be a child.
func TestFirstProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"=first")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("as PID 1: %v: %s", err, output)
	}
}

// TestLimitsAreInherited looks at what Go changes in its own process: the limit
// of open files. A program that is no Go program has that of the first process.
func TestLimitsAreInherited(t *testing.T) {
	script := filepath.Join(t.TempDir(), "program")
	writeScript(t, script, `echo "files $(ulimit -Sn), umask $(umask), core $(ulimit -c)"; exit 1`)
	self := successorCommand(t, "tells")
	cmd := exec.Command("sh", "-c", "ulimit -Sn 321; umask 027; ulimit -c 0; exec "+self.Args[0]+" "+script)
	cmd.Env = self.Env
	output, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "files 321, umask 0027, core 0") {
		t.Errorf("it has %s, %v", output, err)
	}
}
