//go:build linux

// Package restart hot restarts a real loomd under traffic, and looks for what
// is lost, told twice, or counted anew. Each loomd is looked at from outside:
// by its callers, by loomctl, and by the files that it leaves.
package restart

import (
	"os"
	"testing"

	"loom/test/daemon"
)

// Set once by TestMain.
var (
	program *daemon.Program
	loomctl string
)

func TestMain(m *testing.M) { os.Exit(daemon.RunTestsAndLoomctl(m, true, &program, &loomctl)) }
