//go:build linux

package systemd

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
	"loom/test/rawbytes"
)

// quickly has reloads end soon, so that a test can make many.
const quickly = "restart: {probation: 500ms, drain: 40s}\n"

// reload reloads the unit, and returns whether systemctl says that it went well.
func (m *machine) reload() bool {
	m.t.Helper()
	code, said := m.try("systemctl", "reload", "loomd")
	if code == 0 && said != "" {
		m.t.Errorf("systemctl reload says %s", said)
	}
	return code == 0
}

// wantServing checks that the unit is active, with that main process, and never
// was anything else.
func (m *machine) wantServing(pid int) {
	m.t.Helper()
	if state := m.run("systemctl", "is-active", "loomd"); state != "active" {
		m.t.Errorf("the unit is %s", state)
	}
	if now := m.mainPID(); now != pid {
		m.t.Errorf("the main process is %d, not %d", now, pid)
	}
	if n := m.property("NRestarts"); n != "0" {
		m.t.Errorf("systemd has restarted it %s times", n)
	}
}

// TestReload reloads under load, several times in a row, while calls that began
// before go on in older processes. systemd hears of each new main process from
// the one before, and from nobody else.
func TestReload(t *testing.T) {
	m, b, c := running(t, quickly)
	began := c.hold(t)
	l := startLoad(t, c.address)
	seen := map[int]bool{m.mainPID(): true}
	for range 3 {
		if !m.reload() {
			t.Fatal("the reload fails")
		}
		pid := m.mainPID()
		if seen[pid] {
			t.Errorf("the main process is %d again", pid)
		}
		seen[pid] = true
		m.wantServing(pid)
	}
	l.wantWell(t)
	b.release()
	began.wantEnd(t)
	if journal := m.journal("--boot"); strings.Contains(journal, "reception only permitted") {
		t.Errorf("another process than the main one has spoken to systemd:\n%s", journal)
	}
	m.await("its status is told", func() bool { return m.property("StatusText") == "serving 1 listener, 1 backend; generation 4" })
	m.run("systemctl", "stop", "loomd")
	if result := m.property("Result"); result != "success" {
		t.Errorf("the unit ended with %s", result)
	}
}

// TestReloadMistake: a loom.yaml with a mistake fails the reload, with its place
// in the journal and in the status, and changes nothing else.
func TestReloadMistake(t *testing.T) {
	m, b, c := running(t, quickly)
	pid, listen := m.mainPID(), c.address
	l := startLoad(t, listen)
	m.configure(strings.Replace(oneBackend(listen, b.address), "backend: b", "backend: bb", 1))
	if m.reload() {
		t.Error("the reload goes well")
	}
	m.wantServing(pid)
	mistake := `/etc/loom/loom.yaml:3:31: there is no backend "bb" (known: b)`
	if journal := m.journal("-u", "loomd"); !strings.Contains(journal, "]: "+mistake) {
		t.Errorf("the journal does not say where the mistake is:\n%s", journal)
	}
	m.await("the status says it, too", func() bool {
		return m.property("StatusText") == "serving 1 listener, 1 backend; not in force: "+mistake
	})
	m.configure(oneBackend(listen, b.address) + quickly)
	if !m.reload() {
		t.Error("the reload fails after the mistake is mended")
	}
	l.wantWell(t)
}

// TestReloadCrash: a binary that is broken fails the reload, says why in the
// journal, and the next one that is not broken is taken.
func TestReloadCrash(t *testing.T) {
	m, _, c := running(t, quickly)
	pid := m.mainPID()
	l := startLoad(t, c.address)
	m.run("mv", "/usr/bin/loomd", "/usr/bin/loomd.good")
	m.write("/usr/bin/loomd", "#!/bin/sh\ncase \"$*\" in *-check*) exit 0;; esac\necho this build is broken >&2\nexit 3\n")
	m.run("chmod", "755", "/usr/bin/loomd")
	for range 2 {
		if m.reload() {
			t.Error("the reload goes well")
		}
		m.wantServing(pid)
	}
	if journal := m.journal("-u", "loomd"); !strings.Contains(journal, "this build is broken") {
		t.Errorf("the journal does not say why:\n%s", journal)
	}
	m.run("mv", "/usr/bin/loomd.good", "/usr/bin/loomd")
	if !m.reload() || m.mainPID() == pid {
		t.Error("the reload fails with the binary that is not broken")
	}
	l.wantWell(t)
}

// TestUpgrade: a reload starts the binary that lies there by now.
func TestUpgrade(t *testing.T) {
	m, _, c := running(t, quickly)
	l := startLoad(t, c.address)
	m.run("install", "-m", "755", "other/loomd", "/usr/bin/loomd")
	if !m.reload() {
		t.Fatal("the reload fails")
	}
	l.wantWell(t)
	runs, lies := m.run("stat", "-L", "--format=%i", fmt.Sprintf("/proc/%d/exe", m.mainPID())), m.run("stat", "--format=%i", "/usr/bin/loomd")
	if runs != lies {
		t.Errorf("the main process runs the file %s, in place is %s", runs, lies)
	}
}

// TestCrashWhileDraining kills the main process while an older one still drains:
// it is started again at once.
func TestCrashWhileDraining(t *testing.T) {
	m, _, c := running(t, quickly)
	held := c.hold(t)
	old := m.mainPID()
	if !m.reload() {
		t.Fatal("the reload fails")
	}
	m.run("stat", fmt.Sprintf("/proc/%d", old)) // it drains
	killed := time.Now()
	m.kill("KILL", m.mainPID())
	c.ask(t)
	if took := time.Since(killed); took > 10*time.Second {
		t.Errorf("the restart took %v", took)
	}
	if n := m.property("NRestarts"); n != "1" {
		t.Errorf("systemd has restarted it %s times", n)
	}
	held.wantLost(t)
}

// reloading begins a reload with a long probation, and returns while that goes
// on: the old process has a call, and is the main one; the fresh one serves, too.
// Done has the end of systemctl.
func reloading(t *testing.T) (m *machine, b *backend, held *held, done <-chan struct{}) {
	t.Helper()
	m, b, c := running(t, "restart: {probation: 30s}\n")
	held = c.hold(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = m.try("systemctl", "reload", "loomd")
	}()
	m.await("the fresh process serves", func() bool { return strings.Count(m.journal("-u", "loomd"), `"msg":"listening"`) == 2 })
	if state := m.property("ActiveState"); state != "reloading" {
		t.Errorf("the unit is %s while it is reloaded", state)
	}
	return m, b, held, ended
}

// processes are those of the unit. Its control group is gone with the last one.
func (m *machine) processes() []string {
	m.t.Helper()
	code, all := m.try("cat", "/sys/fs/cgroup/system.slice/loomd.service/cgroup.procs")
	if code != 0 {
		return nil
	}
	return strings.Fields(all)
}

// TestStopWhileReloading: a stop takes the fresh process along, and both may
// drain for as long as loom.yaml says. The result of the unit is that of the
// reload which it interrupts.
func TestStopWhileReloading(t *testing.T) {
	m, b, held, done := reloading(t)
	m.write("/etc/systemd/system/loomd.service.d/short.conf", "[Service]\nTimeoutStopSec=1\n")
	m.run("systemctl", "daemon-reload")
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_, _ = m.try("systemctl", "stop", "loomd")
	}()
	m.await("loomd stops", func() bool { return m.property("ActiveState") == "deactivating" })
	time.Sleep(3 * time.Second) // longer than the unit allows
	b.release()
	held.wantEnd(t)
	<-stopped
	<-done
	if code := m.property("ExecMainStatus"); code != "0" {
		t.Errorf("the main process ended with %s", code)
	}
	if all := m.processes(); len(all) > 0 {
		t.Errorf("the processes %v are left", all)
	}
	journal := m.journal("-u", "loomd")
	if n := strings.Count(journal, `"msg":"stopped"`); n != 2 || strings.Contains(journal, "SIGKILL") {
		t.Errorf("%d of 2 processes ended in order:\n%s", n, journal)
	}
}

// TestCrashWhileReloading: when the old process is killed before the reload is
// over, systemd starts loomd again, and nothing of before is left.
func TestCrashWhileReloading(t *testing.T) {
	m, _, held, done := reloading(t)
	m.kill("KILL", m.mainPID())
	<-done
	held.wantLost(t)
	m.await("loomd is started again", func() bool { return m.property("NRestarts") == "1" && m.property("ActiveState") == "active" })
	held.caller.ask(t)
	if all, now := m.processes(), m.property("MainPID"); len(all) != 1 || all[0] != now {
		t.Errorf("the unit has the processes %v, the main one is %s", all, now)
	}
}

// TestWatchdogMoves: after a reload systemd watches the new main process, and
// not the one that drains.
func TestWatchdogMoves(t *testing.T) {
	m, b, c := running(t, quickly)
	m.write("/etc/systemd/system/loomd.service.d/watchdog.conf", "[Service]\nWatchdogSec=5\n")
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "restart", "loomd")
	held := c.hold(t)
	if !m.reload() {
		t.Fatal("the reload fails")
	}
	pid := m.mainPID()
	time.Sleep(11 * time.Second)
	m.wantServing(pid)
	b.release()
	held.wantEnd(t)
	m.kill("STOP", pid)
	m.await("loomd is started again", func() bool { return m.property("NRestarts") == "1" && m.property("ActiveState") == "active" })
	c.ask(t)
}

// TestSocketsCross: sockets that systemd made are handed on as all others, and
// are there again after a crash.
func TestSocketsCross(t *testing.T) {
	m, b := boot(t), serveBackend(t)
	listen := daemon.FreeAddress(t)
	m.install(oneBackend(listen, b.address) + quickly)
	m.socketAt("loomd.socket", listen)
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "start", "loomd.socket")
	dial(t, listen).ask(t)

	var refused atomic.Int32
	coming := newcomers(t, listen, &refused)
	l := startLoad(t, listen)
	for range 2 {
		if !m.reload() {
			t.Fatal("the reload fails")
		}
	}
	l.wantWell(t)
	m.kill("KILL", m.mainPID())
	dial(t, listen).ask(t)
	coming()
	if n := refused.Load(); n > 0 {
		t.Errorf("%d connections were refused", n)
	}
}

// wantLost checks that the call ends without the backend's doing.
func (h *held) wantLost(t *testing.T) {
	t.Helper()
	if _, err := rawbytes.Receive(h.stream); status.Code(err) != codes.Unavailable {
		t.Errorf("a call of a process that was killed ended with %v, want UNAVAILABLE", err)
	}
}
