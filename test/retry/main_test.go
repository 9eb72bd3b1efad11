// Package retry drives a real loomd, with grpc-go on both sides of it, through
// what routes do for calls that fail or take too long: retries, time-outs,
// copies of calls, and changes to their metadata.
package retry

import (
	"os"
	"testing"

	"loom/test/daemon"
)

// loomd is built once for all tests of the package, with the race detector.
var loomd *daemon.Program

func TestMain(m *testing.M) { os.Exit(daemon.RunTests(m, true, &loomd)) }
