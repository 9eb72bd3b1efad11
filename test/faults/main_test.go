//go:build linux

// Package faults reloads a real loomd while clients check every reply, and has
// everything go wrong that can: each process is killed or stopped at each point
// of the protocol, the fresh one cannot start, is of another version, or finds
// too little of what it needs. In the end a loomd serves, the reason was said on
// a line, and the next reload succeeds.
package faults

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"loom/test/daemon"
)

// Set once by TestMain.
var (
	faulty  *daemon.Program // loomd with the points of the protocol
	watched *daemon.Program // the same, and it reports data races
	loomctl string
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "loomctl-build")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }()
		loomctl, err = daemon.BuildTool(folder, ".", "loom/cmd/loomctl")
	}
	if err == nil {
		if faulty, err = daemon.Build(false, "loomfault"); err == nil {
			defer faulty.Remove()
			if watched, err = daemon.Build(true, "loomfault"); err == nil {
				defer watched.Remove()
				return m.Run()
			}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// TestReleasedBuildHasNoPoints looks for what only a build for tests may have.
func TestReleasedBuildHasNoPoints(t *testing.T) {
	released, err := daemon.Build(false)
	if err != nil {
		t.Fatal(err)
	}
	defer released.Remove()
	for _, c := range []struct {
		program *daemon.Program
		want    bool
	}{{released, false}, {faulty, true}} {
		binary, err := os.ReadFile(filepath.Clean(c.program.Path()))
		if err != nil {
			t.Fatal(err)
		}
		if has := bytes.Contains(binary, []byte("LOOMFAULT")); has != c.want {
			t.Errorf("%s speaks of LOOMFAULT: %v", c.program.Path(), has)
		}
	}
}
