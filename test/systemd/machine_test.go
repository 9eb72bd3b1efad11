//go:build linux

package systemd

import (
	"bufio"
	"bytes"
	"errors"
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

// patience bounds every wait, far above what is needed on an idle machine.
const patience = 60 * time.Second

// machine is a booted systemd.
type machine struct {
	t   *testing.T
	pid int // of systemd, as seen from here
}

// boot starts a machine, which is gone when the test ends. It shares the network
// of this one.
func boot(t *testing.T) *machine { return bootWith(t, 0) }

// bootWith is boot, with further namespaces.
func bootWith(t *testing.T, namespaces uintptr) *machine {
	t.Helper()
	folder := t.TempDir()
	keeper := exec.Command(os.Args[0])
	keeper.Env = append(os.Environ(), act+"=keeper", folderOf+"="+folder, stageOf+"="+stage, fmt.Sprintf("%s=%d", furtherNamespaces, namespaces))
	keeper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	var trouble bytes.Buffer
	keeper.Stderr = &trouble
	input, err := keeper.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := keeper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := keeper.Start(); err != nil {
		t.Fatalf("start the keeper, which takes the right to make namespaces: %v", err)
	}
	m := &machine{t: t}
	t.Cleanup(func() {
		if t.Failed() && m.pid != 0 {
			t.Logf("journal:\n%s", m.journal("--lines=80"))
		}
		_ = input.Close()
		if err := keeper.Wait(); err != nil || trouble.Len() > 0 {
			t.Errorf("the keeper ended with %v, and says: %s", err, &trouble)
		}
	})
	said, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatalf("the keeper starts no machine: %v", err)
	}
	if m.pid, err = strconv.Atoi(strings.TrimSpace(said)); err != nil {
		t.Fatalf("the keeper says %q", said)
	}
	m.await("systemd has booted", func() bool {
		_, state := m.try("systemctl", "is-system-running")
		if state == "degraded" {
			t.Fatalf("systemd has booted badly:\n%s", m.run("systemctl", "--failed"))
		}
		return state == "running"
	})
	return m
}

// try runs a command in the machine, as root and in the stage, and returns its
// exit code and what it said, both streams together and trimmed.
func (m *machine) try(name string, args ...string) (code int, said string) {
	m.t.Helper()
	enter := []string{
		"--target", strconv.Itoa(m.pid), "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--net", "--",
		"/usr/bin/env", "-i", "--chdir=" + staged, "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "SYSTEMD_PAGER=", name,
	}
	command := exec.Command("nsenter", append(enter, args...)...)
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.t.Fatalf("run %s in the machine: %v", name, err)
	}
	return command.ProcessState.ExitCode(), strings.TrimSpace(string(output))
}

// run is try for what must succeed.
func (m *machine) run(name string, args ...string) string {
	m.t.Helper()
	code, said := m.try(name, args...)
	if code != 0 {
		m.t.Fatalf("%s %s: exit code %d\n%s", name, strings.Join(args, " "), code, said)
	}
	return said
}

// path is where a file of the machine lies for this process.
func (m *machine) path(name string) string {
	return fmt.Sprintf("/proc/%d/root%s", m.pid, name)
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o755); err != nil {
		m.t.Fatalf("write %s in the machine: %v", name, err)
	}
	if err := os.WriteFile(m.path(name), []byte(text), 0o644); err != nil {
		m.t.Fatalf("write %s in the machine: %v", name, err)
	}
}

// await polls until the condition holds.
func (m *machine) await(what string, condition func() bool) {
	m.t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("waiting until %s: not so after %v", what, patience)
		}
	}
}

// journal is what the journal holds, by the filters given.
func (m *machine) journal(filters ...string) string {
	m.t.Helper()
	_, _ = m.try("journalctl", "--sync")
	_, said := m.try("journalctl", append([]string{"--no-pager", "--output=short-monotonic"}, filters...)...)
	return said
}

// property is one of loomd.service, as systemctl shows it.
func (m *machine) property(name string) string {
	m.t.Helper()
	return m.run("systemctl", "show", "--value", "--property="+name, "loomd.service")
}

// mainPID is the main process of loomd.service, by its number in the machine;
// 0 if there is none.
func (m *machine) mainPID() int {
	m.t.Helper()
	pid, err := strconv.Atoi(m.property("MainPID"))
	if err != nil {
		m.t.Fatalf("the main process is %v", err)
	}
	return pid
}

// kill sends a signal to a process of the machine.
func (m *machine) kill(signal string, pid int) {
	m.t.Helper()
	m.run("sh", "-c", fmt.Sprintf("kill -s %s %d", signal, pid))
}

// install installs loomd as the README says, with this loom.yaml, and does not
// start it.
func (m *machine) install(config string) {
	m.t.Helper()
	for _, command := range installation(m.t) {
		if !strings.Contains(command, "systemctl") {
			m.run("sh", "-c", command)
		}
	}
	m.configure(config)
	m.run("systemctl", "daemon-reload")
}

func (m *machine) configure(config string) {
	m.t.Helper()
	m.write("/etc/loom/loom.yaml", config)
}

// installation are the commands of the README's section about systemd.
func installation(t *testing.T) []string {
	t.Helper()
	root, err := daemon.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Under systemd\n")
	section, _, _ = strings.Cut(section, "\n## ")
	commands := daemon.Commands(section)
	if len(commands) < 4 {
		t.Fatalf("the README has no section about systemd with commands: %q", commands)
	}
	return commands
}

// oneBackend is a loom.yaml for a listener in front of a backend.
func oneBackend(listen, backend string) string {
	return fmt.Sprintf(`listeners: [{name: plain, address: %q}]
backends: {b: {targets: [%q]}}
routes: [{name: all, backend: b}]
`, listen, backend)
}
