// Package breaker tries circuit breakers under fault: loomd and its backend are
// real processes, and while a client calls and checks every answer the backend
// hangs, resets, answers slowly or with errors, stops, or dies and comes back.
//
// Each scenario logs what the callers saw, how long the breaker took to open
// and to close, and how many calls reached the backend in the meantime.
package breaker

import (
	"os"
	"testing"

	"loom/test/daemon"
)

// program is built once for all tests of the package.
var program *daemon.Program

// TestMain is also the backend: the test binary runs itself as that process.
func TestMain(m *testing.M) {
	daemon.Act(backendVariable, runBackend)
	os.Exit(daemon.RunTests(m, false, &program))
}
