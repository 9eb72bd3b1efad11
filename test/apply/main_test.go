// Package apply edits the loom.yaml of a real loomd while calls go through it.
package apply

import (
	"fmt"
	"os"
	"testing"

	"loom/test/daemon"
)

// Set once by TestMain.
var (
	program *daemon.Program
	loomctl string // path of the command
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
