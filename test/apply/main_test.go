// Package apply edits the loom.yaml of a real loomd while calls go through it.
package apply

import (
	"os"
	"testing"

	"loom/test/daemon"
)

// Set once by TestMain.
var (
	program *daemon.Program
	loomctl string // path of the command
)

func TestMain(m *testing.M) { os.Exit(daemon.RunTestsAndLoomctl(m, true, &program, &loomctl)) }
