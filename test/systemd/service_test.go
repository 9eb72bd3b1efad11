//go:build linux

package systemd

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"loom/test/daemon"
)

// TestInstallation follows the README from its first command to its last one,
// and has systemd judge what was installed. The network is its own, because the
// ports are those of the example.
func TestInstallation(t *testing.T) {
	m := bootWith(t, syscall.CLONE_NEWNET)
	for _, command := range installation(t) {
		t.Log(command)
		said := m.run("sh", "-c", command)
		if strings.HasPrefix(command, "systemctl status") && !strings.Contains(said, `Status: "serving 1 listener, 1 backend; generation 2"`) {
			t.Errorf("%s says\n%s", command, said)
		}
	}
	if said := m.run("systemd-analyze", "verify", "loomd.service", "loomd.socket"); said != "" {
		t.Errorf("systemd-analyze verify says\n%s", said)
	}
	if said := m.run("systemd-sysusers", "--dry-run", "loom.conf"); said != "" {
		t.Errorf("systemd-sysusers would do more: %s", said)
	}
	m.run("systemctl", "is-enabled", "loomd")
}

// mostExposed is what systemd-analyze security may find, in tenths: what it
// finds now is 1.8, and it calls everything below 4 well.
const mostExposed = "20"

func TestSandbox(t *testing.T) {
	m := boot(t)
	m.install(oneBackend(daemon.FreeAddress(t), "127.0.0.1:1"))
	m.run("systemd-analyze", "security", "--no-pager", "--threshold="+mostExposed, "loomd.service")
}

// running boots a machine with a loomd that serves calls to a backend of the
// test, with more in its loom.yaml.
func running(t *testing.T, more string) (*machine, *backend, *caller) {
	t.Helper()
	m, b := boot(t), serveBackend(t)
	listen := daemon.FreeAddress(t)
	m.install(oneBackend(listen, b.address) + more)
	m.run("systemctl", "start", "loomd")
	return m, b, dial(t, listen)
}

// TestStartAndStop: a start returns when calls are served, by a user that may
// do little; a stop lets the calls that are open end, for as long as loom.yaml
// says, whatever the unit allows.
func TestStartAndStop(t *testing.T) {
	m, b, c := running(t, "restart: {drain: 40s}\n")
	c.ask(t)
	if status := m.property("StatusText"); status != "serving 1 listener, 1 backend" {
		t.Errorf("the status is %q", status)
	}
	if owner := m.run("stat", "--format=%U", fmt.Sprintf("/proc/%d", m.mainPID())); owner != "loom" {
		t.Errorf("loomd runs as %s", owner)
	}
	m.run("loomctl", "status") // finds its socket
	m.write("/etc/systemd/system/loomd.service.d/short.conf", "[Service]\nTimeoutStopSec=1\n")
	m.run("systemctl", "daemon-reload")

	stream := c.hold(t)
	stopped := make(chan string, 1)
	go func() {
		_, said := m.try("systemctl", "stop", "loomd")
		stopped <- said
	}()
	m.await("loomd stops", func() bool { return m.property("ActiveState") == "deactivating" })
	m.await("its status says so", func() bool { return m.property("StatusText") == "draining, at most 40s" })
	time.Sleep(2 * time.Second) // longer than the unit allows
	b.release()
	stream.wantEnd(t)
	if said := <-stopped; said != "" {
		t.Errorf("systemctl stop says %s", said)
	}
	if result := m.property("Result"); result != "success" {
		t.Errorf("the unit ended with %s", result)
	}
	if _, left := m.try("ls", "/run/loomd"); !strings.Contains(left, "No such file") {
		t.Errorf("the folder is left over: %s", left)
	}
}

// TestMistake: what trying again does not mend is not tried again.
func TestMistake(t *testing.T) {
	m := boot(t)
	m.install(strings.Replace(oneBackend(daemon.FreeAddress(t), "127.0.0.1:1"), "backend: b", "backend: bb", 1))
	if code, said := m.try("systemctl", "start", "loomd"); code == 0 {
		t.Errorf("loomd has started: %s", said)
	}
	if n := m.property("NRestarts"); n != "0" || m.property("ExecMainStatus") != "5" {
		t.Errorf("it ended with %s after %s restarts", m.property("ExecMainStatus"), n)
	}
	if journal := m.journal("-u", "loomd"); !strings.Contains(journal, `/etc/loom/loom.yaml:3:31: there is no backend "bb"`) {
		t.Errorf("the journal does not say where the mistake is:\n%s", journal)
	}
}

// TestCrash: a loomd that is killed is started again at once, again and again.
func TestCrash(t *testing.T) {
	m, _, c := running(t, "")
	for n := range 7 { // more than systemd allows by default
		pid := m.mainPID()
		killed := time.Now()
		m.kill("KILL", pid)
		c.ask(t)
		if took := time.Since(killed); took > 10*time.Second {
			t.Errorf("restart %d took %v", n+1, took)
		}
		if now := m.mainPID(); now == pid || now == 0 {
			t.Fatalf("restart %d: the main process was %d and is %d", n+1, pid, now)
		}
	}
}

// TestWatchdog: a loomd that is well lives; one that is stuck is ended, says
// where its goroutines are, and is started again.
func TestWatchdog(t *testing.T) {
	m, _, c := running(t, "")
	m.write("/etc/systemd/system/loomd.service.d/watchdog.conf", "[Service]\nWatchdogSec=5\n")
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "restart", "loomd")
	pid := m.mainPID()
	time.Sleep(11 * time.Second)
	c.ask(t)
	if now := m.mainPID(); now != pid {
		t.Fatalf("the main process was %d and is %d, though it was well", pid, now)
	}
	m.kill("STOP", pid)
	m.await("loomd is started again", func() bool { return m.property("NRestarts") == "1" && m.property("ActiveState") == "active" })
	c.ask(t)
	journal := m.journal("-u", "loomd")
	for _, line := range []string{"Watchdog timeout", "SIGABRT: abort", "goroutine 1 "} {
		if !strings.Contains(journal, line) {
			t.Errorf("the journal has no %q", line)
		}
	}
}
