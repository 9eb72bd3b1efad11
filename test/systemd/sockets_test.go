//go:build linux

package systemd

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"loom/test/daemon"
)

// socketAt has the socket unit listen on an address.
func (m *machine) socketAt(unit, address string) {
	m.t.Helper()
	m.write("/etc/systemd/system/"+unit+".d/address.conf", strings.Join([]string{"[Socket]", "ListenStream=", "ListenStream=" + address, ""}, "\n"))
}

// TestSocketActivation: systemd listens, and starts loomd for the first client.
// While loomd is killed and started again nobody is refused.
func TestSocketActivation(t *testing.T) {
	m, b := boot(t), serveBackend(t)
	listen, strange := daemon.FreeAddress(t), daemon.FreeAddress(t)
	m.install(strings.Replace(oneBackend(listen, b.address), "listeners: [", `listeners: [{name: local, address: "unix:/run/loom/in.sock"}, `, 1))
	m.socketAt("loomd.socket", listen)
	m.write("/etc/systemd/system/loomd-local.socket", "[Socket]\nListenStream=/run/loom/in.sock\nSocketMode=0666\nService=loomd.service\n")
	m.write("/etc/systemd/system/loomd-other.socket", "[Socket]\nFileDescriptorName=other\nListenStream="+strange+"\nService=loomd.service\n")
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "start", "loomd.socket", "loomd-other.socket", "loomd-local.socket")
	if state := m.property("ActiveState"); state != "inactive" {
		t.Fatalf("loomd is %s before anybody came", state)
	}

	dial(t, listen).ask(t)
	pid := m.mainPID()
	if pid == 0 {
		t.Fatal("somebody else answers")
	}
	warnings := m.journal("-u", "loomd", "--priority=warning")
	if !strings.Contains(warnings, "a socket of systemd is not used: no listener has its name or its address") || !strings.Contains(warnings, strange) {
		t.Errorf("the journal has no warning of the socket that nobody takes:\n%s", warnings)
	}
	if strings.Contains(warnings, `"listening"`) {
		t.Errorf("the journal takes information for a warning:\n%s", warnings)
	}

	dial(t, "unix:"+m.path("/run/loom/in.sock")).ask(t)
	if mode := m.run("stat", "--format=%a %U", "/run/loom/in.sock"); mode != "666 root" {
		t.Errorf("the Unix socket has mode and owner %s", mode)
	}

	var refused atomic.Int32
	coming := newcomers(t, listen, &refused)
	for range 3 {
		m.kill("KILL", m.mainPID())
		dial(t, listen).ask(t)
	}
	coming()
	if n := refused.Load(); n > 0 {
		t.Errorf("%d connections were refused while loomd was restarted", n)
	}

	// After a stop the next client starts it again.
	pid = m.mainPID()
	m.run("systemctl", "stop", "loomd")
	dial(t, listen).ask(t)
	if now := m.mainPID(); now == pid {
		t.Errorf("the main process is %d before and after the stop", now)
	}
}

// newcomers connects again and again until the function that it returns is
// called, and counts who is refused.
func newcomers(t *testing.T, address string, refused *atomic.Int32) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ; ctx.Err() == nil; time.Sleep(2 * time.Millisecond) { // the queue is not for floods
			nc, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			switch {
			case err == nil:
				_ = nc.Close()
			case ctx.Err() == nil:
				refused.Add(1)
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
