package systemd

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// watch runs Watch until the test ends.
func watch(t *testing.T, n *Notifier, alive func(context.Context) error, failed func(error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { n.Watch(ctx, alive, failed) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

func never(t *testing.T) func(error) {
	return func(err error) { t.Errorf("a ping is left out: %v", err) }
}

func TestPings(t *testing.T) {
	m := newManager(t)
	m.env["WATCHDOG_USEC"], m.env["WATCHDOG_PID"] = "30000", pid()
	var asked atomic.Int32
	watch(t, m.start(false), func(context.Context) error { asked.Add(1); return nil }, never(t))
	for i := range 5 {
		m.want("WATCHDOG=1")
		if n := asked.Load(); int(n) <= i {
			t.Fatalf("%d pings after %d looks at the process", i+1, n)
		}
	}
}

// A process that does not find itself alive sends no ping until it does.
func TestNoPingWithoutLife(t *testing.T) {
	m := newManager(t)
	m.env["WATCHDOG_USEC"] = "30000"
	var asked, failures atomic.Int32
	watch(t, m.start(false), func(ctx context.Context) error {
		switch asked.Add(1) {
		case 1:
			return errors.New("stuck")
		case 2:
			<-ctx.Done() // it hangs
			return ctx.Err()
		}
		return nil
	}, func(err error) {
		if failures.Add(1) == 1 && !strings.Contains(err.Error(), "stuck") {
			t.Errorf("told of %v", err)
		}
	})
	m.want("WATCHDOG=1")
	if asked.Load() < 3 || failures.Load() != 2 {
		t.Fatalf("a ping after %d looks and %d failures", asked.Load(), failures.Load())
	}
}

// The watchdog comes with the role.
func TestPingsMove(t *testing.T) {
	m := newManager(t)
	m.env["WATCHDOG_USEC"], m.env["WATCHDOG_PID"] = "30000", "1"
	n := m.start(true)
	watch(t, n, func(context.Context) error { return nil }, never(t))
	must(t, n.Status("serving"))
	m.wantNothing()
	must(t, n.TakeOver())
	m.want("STATUS=serving")
	m.want("WATCHDOG=1")
	m.want("WATCHDOG=1")
}
