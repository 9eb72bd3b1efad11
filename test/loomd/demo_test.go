package loomd

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"loom/test/daemon"
)

// callLine is what is printed for a finished call of the demo.
var callLine = regexp.MustCompile(`\b[A-Z_]{2,}\b.*/demo\.(shop|pay)\.v1\.\w+/\w+`)

// TestDemo needs nothing at all, shows calls, and stops when it is told to.
func TestDemo(t *testing.T) {
	address := daemon.FreeAddress(t)
	loomd := program.Start(t, "-demo", "-listen", address)
	loomd.WaitListening(t, address)
	loomd.Await(t, "the demo has shown ten calls, of both services", func() bool {
		lines := callLine.FindAllString(loomd.Stdout(), -1)
		text := strings.Join(lines, "\n")
		return len(lines) >= 10 && strings.Contains(text, "/demo.shop.v1.Orders/") && strings.Contains(text, "/demo.pay.v1.Ledger/")
	})
	started := time.Now()
	loomd.Signal(t, syscall.SIGINT)
	code := loomd.WaitExit(t, 5*time.Second)
	if took := time.Since(started); took > time.Second {
		t.Errorf("the demo took %v to stop, more than a second", took)
	}
	if code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestQuiet prints no line for a call.
func TestQuiet(t *testing.T) {
	address := daemon.FreeAddress(t)
	b := startBackend(t)
	for _, test := range []struct {
		name  string
		flags []string
		lines int
	}{{"as it is", nil, 3}, {"quiet", []string{"-quiet"}, 0}} {
		t.Run(test.name, func(t *testing.T) {
			loomd := program.Start(t, append(test.flags, "-backend", b.address, "-listen", address)...)
			loomd.WaitListening(t, address)
			client := dial(t, address)
			for range 3 {
				b.release <- struct{}{}
				stream := client.start(t)
				<-b.arrived
				wantMessage(t, stream, "first")
				finish(t, stream)
			}
			client.conn.Close()
			loomd.Signal(t, syscall.SIGTERM)
			loomd.WaitExit(t, 5*time.Second)
			if lines := strings.Count(loomd.Stdout(), "/loom.test.Held/Call"); lines != test.lines {
				t.Errorf("%d lines for 3 calls, want %d:\n%s", lines, test.lines, loomd.Stdout())
			}
		})
	}
}
