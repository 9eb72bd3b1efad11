// Package relay runs real gRPC peers of several stacks against real servers,
// with a real loomd between them: what works without loomd works with it.
package relay

import (
	"os"
	"testing"

	"loom/test/daemon"
)

// loomd is built once for all tests of the package, with the race detector.
var loomd *daemon.Program

func TestMain(m *testing.M) { os.Exit(daemon.RunTests(m, true, &loomd)) }
