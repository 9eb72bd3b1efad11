package loomtest

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// leakGrace is how long goroutines may take to end after a test: enough for
// what was told to stop and is merely not scheduled yet on a busy machine.
const leakGrace = 5 * time.Second

// CheckLeaks fails the test when goroutines that were not there at the call are
// still there at the test's end, and prints their stacks. Call it first, so
// that its look comes after every other cleanup. It does not suit a test that
// runs beside parallel ones: it would see their goroutines; use CheckLeaksMain.
func CheckLeaks(t testing.TB) {
	t.Helper()
	before := goroutines()
	t.Cleanup(func() {
		if left := leaked(before, leakGrace); len(left) > 0 {
			t.Errorf("%d goroutines left after the test:\n\n%s", len(left), strings.Join(left, "\n\n"))
		}
	})
}

// CheckLeaksMain runs the tests of a package and returns the exit code: that of
// the tests, or 1 when they passed and left goroutines behind. For TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(loomtest.CheckLeaksMain(m)) }
func CheckLeaksMain(m *testing.M) int {
	before := goroutines()
	code := m.Run()
	left := leaked(before, leakGrace)
	if code != 0 || len(left) == 0 {
		return code
	}
	fmt.Fprintf(os.Stderr, "%d goroutines left after the tests:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
	return 1
}

// leaked returns the stacks of the goroutines that before does not hold, once
// there are none or grace is over.
func leaked(before map[string]string, grace time.Duration) []string {
	const step = 10 * time.Millisecond
	for end := time.Now().Add(grace); ; time.Sleep(step) {
		left := newGoroutines(before)
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

func newGoroutines(before map[string]string) []string {
	var stacks []string
	for id, stack := range goroutines() {
		if _, old := before[id]; !old && !infrastructure(stack) {
			stacks = append(stacks, stack)
		}
	}
	slices.Sort(stacks)
	return stacks
}

// goroutines returns the stacks of all goroutines but the calling one, by id.
func goroutines() map[string]string {
	buf := make([]byte, 64<<10)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	all := make(map[string]string)
	for i, stack := range bytes.Split(buf[:n], []byte("\n\n")) {
		// "goroutine 12 [running]:"; the first is the caller.
		if fields := bytes.Fields(stack); i > 0 && len(fields) > 1 {
			all[string(fields[1])] = string(bytes.TrimSpace(stack))
		}
	}
	return all
}

// infrastructure tells goroutines that the runtime and the testing package
// start on their own account.
func infrastructure(stack string) bool {
	for _, of := range []string{
		"testing.(*T).Run(", // a test waiting for its subtest
		"testing.(*T).Parallel(",
		"testing.runFuzzing(",
		"testing.(*M).startAlarm",
		"internal/fuzz.",
		"os/signal.loop(",
		"os/signal.signal_recv(",
		"runtime.ensureSigM",
		"runtime/pprof.",
		"runtime/trace.",
	} {
		if strings.Contains(stack, of) {
			return true
		}
	}
	return false
}
