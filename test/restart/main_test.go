//go:build linux

// Package restart hot restarts a real loomd under traffic, and looks for what
// is lost, told twice, or counted anew. Each loomd is looked at from outside:
// by its callers, by loomctl, and by the files that it leaves.
package restart

import (
	"fmt"
	"os"
	"testing"

	"loom/test/daemon"
)

// Set once by TestMain.
var (
	program *daemon.Program
	loomctl string
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "loomctl-build")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }()
		loomctl, err = daemon.BuildTool(folder, ".", "loom/cmd/loomctl")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return daemon.RunTests(m, true, &program)
}
