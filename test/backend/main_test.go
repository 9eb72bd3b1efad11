// Package backend tries backends of several endpoints from outside: loomd and
// each endpoint are real processes, and while callers call and check every
// answer an endpoint fails, hangs, dies and comes back.
package backend

import (
	"os"
	"testing"

	"loom/test/daemon"
)

// program is built once for all tests of the package.
var program *daemon.Program

// TestMain is also the endpoint: the test binary runs itself as that process.
func TestMain(m *testing.M) {
	daemon.Act(endpointVariable, runEndpoint)
	os.Exit(daemon.RunTests(m, true, &program))
}
