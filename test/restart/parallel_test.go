//go:build linux

package restart

import (
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// tryReload runs loomctl reload and returns what it says.
func (f *family) tryReload(args ...string) (stdout, stderr string, code int) {
	command := exec.CommandContext(f.t.Context(), loomctl, append([]string{"reload", "--socket", f.socket}, args...)...)
	var out, problem bytes.Buffer
	command.Stdout, command.Stderr = &out, &problem
	_ = command.Run() // the code says how it ended
	return out.String(), problem.String(), command.ProcessState.ExitCode()
}

// Of fifty who ask at the same time one gets the reload; the others are told
// which one is under way, and change nothing.
func TestParallelReloads(t *testing.T) {
	f := startFamily(t, startBackend(t), "restart: {drain: 5s, probation: 2s}\n")
	traffic := startLoad(t, f.listen, 4, 10*time.Millisecond)
	before := f.serving()
	var mu sync.Mutex
	good := 0
	var refusals []string
	var asking sync.WaitGroup
	for range 50 {
		asking.Go(func() {
			stdout, stderr, code := f.tryReload()
			mu.Lock()
			defer mu.Unlock()
			if code == 0 && strings.Contains(stdout, "serving") {
				good++
			} else {
				refusals = append(refusals, stderr)
			}
		})
	}
	asking.Wait()
	if good == 0 || good+len(refusals) != 50 {
		t.Errorf("%d were reloads, %d were refused", good, len(refusals))
	}
	for _, r := range refusals {
		if !strings.Contains(r, "another reload is under way: ") || strings.Count(r, "\n") != 1 {
			t.Errorf("refused with %q", r)
		}
	}
	// Whoever came when the first one was over began another.
	if after := f.serving(); after.Number != before.Number+good {
		t.Errorf("generation %d serves after %d reloads", after.Number, good)
	}
	if traffic.end() == 0 {
		t.Error("no call was made")
	}
}

// When loomctl reload has ended well, the next one may follow at once.
func TestReloadsInARow(t *testing.T) {
	f := startFamily(t, startBackend(t), "restart: {drain: 5s, probation: 100ms}\n")
	for n := range 8 {
		if out, stderr, code := f.tryReload(); code != 0 {
			t.Fatalf("reload %d ended with %d: %s%s", n+1, code, out, stderr)
		}
	}
}

// SIGHUP reloads, too, and a second one does not begin another.
func TestHangup(t *testing.T) {
	// Tests that run under nohup hand on that it is ignored, and loomd respects
	// that. Signals that are waited for are not handed on.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	f := startFamily(t, startBackend(t), "restart: {drain: 5s, probation: 1s}\n")
	traffic := startLoad(t, f.listen, 4, 10*time.Millisecond)
	f.Signal(t, syscall.SIGHUP)
	time.Sleep(300 * time.Millisecond)
	f.Signal(t, syscall.SIGHUP)
	f.await("generation 2 serves alone", func() bool {
		all := f.generations()
		return len(all) == 1 && all[0].Number == 2 && all[0].Serving
	})
	if said := f.Stderr(); !strings.Contains(said, "another reload is under way: asked for by SIGHUP") {
		t.Error("the log does not say that the second signal began nothing")
	}
	if traffic.end() == 0 {
		t.Error("no call was made")
	}
}
