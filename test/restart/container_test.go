//go:build linux

package restart

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"loom/test/daemon"
)

// contained starts a loomd as the first process of a pid namespace, as in a
// container, and returns its family and how the container ends.
func contained(t *testing.T, more string) (*family, <-chan error) {
	t.Helper()
	folder := daemon.SocketFolder(t)
	f := &family{t: t, folder: folder, config: filepath.Join(folder, "loom.yaml"), socket: filepath.Join(folder, "admin.sock"), listen: daemon.FreeAddress(t)}
	f.configure(startBackend(t), more)
	args := []string{"--fork", "--pid", "--kill-child", "--mount-proc"}
	if os.Geteuid() != 0 {
		args = append(args, "--user", "--map-root-user")
	}
	command := exec.Command("unshare", append(args, program.Path(), "-config", f.config, "-admin", f.socket, "-quiet")...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	command.Env = append(os.Environ(), "STATE_DIRECTORY="+folder)
	command.WaitDelay = 10 * time.Second
	if err := command.Start(); err != nil {
		t.Fatalf("a container needs unshare, of the package util-linux: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may have ended
		if t.Failed() {
			t.Log(output.String())
		}
	})
	f.await("loomd serves", func() bool { return exec.Command(loomctl, "status", "--socket", f.socket).Run() == nil })
	first := children(t, command.Process.Pid)
	if len(first) != 1 {
		t.Fatalf("unshare has the children %v", first)
	}
	t.Cleanup(func() { _ = syscall.Kill(first[0], syscall.SIGKILL) }) // it may have ended
	f.first = first[0]
	return f, ended
}

// children are the processes that a process has started.
func children(t *testing.T, pid int) []int {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // a thread that has ended
		}
		for word := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, child)
		}
	}
	return all
}

// The first process of a container stays when others serve in its place, or the
// container would end; SIGTERM, which it alone gets, ends all of them in order.
func TestContainer(t *testing.T) {
	f, ended := contained(t, "restart: {drain: 20s, probation: 200ms, generations: 1}\n")
	for range 3 {
		f.reload()
		f.await("the older process has drained", func() bool { return len(f.generations()) == 2 })
		if shown := f.ctl("status"); !strings.Contains(shown, "it is the first process of its container, and waits for the others") {
			t.Errorf("status does not say why the first process is there:\n%s", shown)
		}
		if err := echo(connect(t, f.listen), "inside"); err != nil {
			t.Fatal(err)
		}
		f.await("the process that has ended is reaped", func() bool { return len(children(t, f.first)) == 1 })
	}
	long := startStream(t, f.listen)
	if err := syscall.Kill(f.first, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	long.exchange(100)
	long.end()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the container ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the container does not end")
	}
}
