// Package relay runs real gRPC peers of several stacks against real servers,
// with a real loomd between them: what works without loomd works with it.
package relay

import (
	"fmt"
	"os"
	"testing"

	"loom/test/daemon"
)

// loomd is built once for all tests of the package, with the race detector.
var loomd *daemon.Program

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	program, err := daemon.Build(true)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	loomd = program
	defer program.Remove()
	return m.Run()
}
