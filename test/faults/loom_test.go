//go:build linux

package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"loom/test/daemon"
)

// patience bounds every wait of a test: far above what is needed.
const patience = 60 * time.Second

// loom is a loomd through all its generations. They are children of the test,
// as they are of systemd, and one process group.
type loom struct {
	t       *testing.T
	program string // what is started: a script that tests may replace
	binary  string
	config  string
	fault   string // the file that wants a fault
	stderr  string
	plain   string // address
	group   int    // process group, and the first generation
}

// settings of a loomd, with its defaults for a test.
type settings struct {
	binary    *daemon.Program // faulty if nil
	backend   string
	listeners string // further ones, as YAML
	env       []string
}

// start runs a loomd in front of the backend, and waits until it listens.
func start(t *testing.T, o settings) *loom {
	t.Helper()
	if o.binary == nil {
		o.binary = faulty
	}
	folder := daemon.SocketFolder(t)
	l := &loom{
		t: t, program: filepath.Join(folder, "loomd"), binary: o.binary.Path(), fault: filepath.Join(folder, "fault"),
		stderr: filepath.Join(folder, "stderr"), plain: daemon.FreeAddress(t),
	}
	l.config = filepath.Join(folder, "loom.yaml")
	l.configure(fmt.Sprintf(`
listeners:
  - {name: plain, address: %q}
%s
backends:
  main: {targets: [%q]}
routes:
  - {name: everything, backend: main}
restart: {probation: 200ms, drain: 10s}
admin: {socket: %q}
log: {format: json}
`, l.plain, o.listeners, o.backend, filepath.Join(folder, "admin.sock")))
	l.install("")
	output, err := os.Create(l.stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	command := exec.Command(l.program, "-quiet", "-config", l.config)
	command.Env = append(os.Environ(), "LOOMFAULT="+l.fault, "STATE_DIRECTORY="+folder, "GORACE=atexit_sleep_ms=0")
	command.Env = append(command.Env, o.env...)
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatalf("start loomd: %v", err)
	}
	l.group = command.Process.Pid
	t.Cleanup(l.end)
	l.await("loomd answers loomctl", func() bool {
		_, code := l.ctl("status")
		return code == 0
	})
	return l
}

// install puts a new program in the place of the one that runs, by a rename. It
// is the same loomd, after what the lines of shell do.
func (l *loom) install(lines string) {
	l.t.Helper()
	// The name is that of the script, by which the next generation finds it.
	text := "#!/bin/bash\n" + lines + "\nexec -a \"$0\" " + l.binary + " \"$@\"\n"
	// A process that is being started meanwhile would have the file open for
	// writing, and nobody could execute it.
	syscall.ForkLock.RLock()
	err := os.WriteFile(l.program+".new", []byte(text), 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(l.program+".new", l.program); err != nil {
		l.t.Fatal(err)
	}
}

func (l *loom) configure(text string) {
	l.t.Helper()
	if err := os.WriteFile(l.config, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func (l *loom) configuration() string {
	l.t.Helper()
	text, err := os.ReadFile(l.config)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

// end ends all generations, and waits for them.
func (l *loom) end() {
	_ = syscall.Kill(-l.group, syscall.SIGKILL)
	for {
		if _, err := syscall.Wait4(-l.group, nil, 0, nil); errors.Is(err, syscall.ECHILD) {
			break
		}
	}
	said := l.said()
	if strings.Contains(said, "DATA RACE") {
		l.t.Errorf("loomd reported a data race:\n%s", said)
	}
	if l.t.Failed() {
		const most = 8 << 10
		l.t.Logf("the last lines of loomd:\n%s", said[max(0, len(said)-most):])
	}
}

// said is what all generations have written.
func (l *loom) said() string {
	text, err := os.ReadFile(l.stderr)
	if err != nil {
		l.t.Error(err)
	}
	return string(text)
}

// ctl runs loomctl and returns what it printed, and its exit code.
func (l *loom) ctl(args ...string) (string, int) {
	l.t.Helper()
	command := exec.Command(loomctl, args...)
	command.Env = append(os.Environ(), "LOOM_SOCKET="+filepath.Join(filepath.Dir(l.config), "admin.sock"))
	output, err := command.CombinedOutput()
	if exit := (&exec.ExitError{}); err != nil && !errors.As(err, &exit) {
		l.t.Fatalf("run loomctl: %v", err)
	}
	return string(bytes.TrimSpace(output)), command.ProcessState.ExitCode()
}

// reload reloads, and returns the process that serves then. A process that has
// just taken over hears a moment later that it may be replaced.
func (l *loom) reload() (generation, pid int) {
	l.t.Helper()
	var text string
	var code int
	l.await("a reload may begin", func() bool {
		text, code = l.ctl("reload")
		return code == 0 || !strings.Contains(text, "may still take over again")
	})
	lines := strings.Split(text, "\n")
	if _, err := fmt.Sscanf(lines[len(lines)-1], "reloaded: generation %d serves, process %d", &generation, &pid); code != 0 || err != nil {
		l.t.Errorf("loomctl reload exits with %d and says %s", code, text)
	}
	return generation, pid
}

// fails expects a reload to fail, with a reason of one line.
func (l *loom) fails(says string) {
	l.t.Helper()
	text, code := l.ctl("reload")
	lines := strings.Split(text, "\n")
	const prefix = "the reload failed, and all is as before: "
	if last := lines[len(lines)-1]; code == 0 || !strings.Contains(last, prefix) || !strings.Contains(last, says) {
		l.t.Errorf("loomctl reload exits with %d and says %s; want one line with %q", code, text, says)
	}
}

// goesWrong has the next process that comes to the point get the signal.
func (l *loom) goesWrong(point, signal string) {
	l.t.Helper()
	if err := os.WriteFile(l.fault+".new", []byte(point+" "+signal), 0o600); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(l.fault+".new", l.fault); err != nil {
		l.t.Fatal(err)
	}
}

// wentWrong waits until it has.
func (l *loom) wentWrong() {
	l.t.Helper()
	l.await("a process comes to the point", func() bool {
		_, err := os.Stat(l.fault)
		return os.IsNotExist(err)
	})
}

// await polls until the condition holds.
func (l *loom) await(what string, condition func() bool) {
	l.t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("waiting until %s: not so after %v", what, patience)
		}
	}
}

// allEnd waits until no generation is left.
func (l *loom) allEnd() {
	l.t.Helper()
	l.await("all generations have ended", func() bool {
		for {
			pid, err := syscall.Wait4(-l.group, nil, syscall.WNOHANG, nil)
			switch {
			case errors.Is(err, syscall.ECHILD):
				return true
			case pid <= 0:
				return false
			}
		}
	})
}

func (l *loom) signal(pid int, signal syscall.Signal) {
	l.t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		l.t.Fatalf("send %v: %v", signal, err)
	}
}
