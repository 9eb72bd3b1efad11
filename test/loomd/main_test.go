// Package loomd tries the command from outside, as a person or a service
// manager does: its flags, what it prints, its exit codes and its signals.
package loomd

import (
	"os"
	"testing"

	"loom/test/daemon"
)

// program is built once for all tests of the package, with the race detector.
var program *daemon.Program

func TestMain(m *testing.M) { os.Exit(daemon.RunTests(m, true, &program)) }
