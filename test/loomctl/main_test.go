// Package loomctl drives loomctl beside a real loomd: the scripts in testdata
// hold what each command prints and how it exits. After a change of that,
// go test ./loomctl -run TestScripts -update takes it over.
package loomctl

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"loom/test/daemon"
)

// Set once by TestMain.
var (
	program *daemon.Program
	tools   string // folder with loomctl and grpcurl, for anybody to run
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "loomctl-build")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }()
		tools = folder
		err = buildTools(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return daemon.RunTests(m, true, &program)
}

func buildTools(folder string) error {
	for name, of := range map[string]struct{ module, path string }{
		"loomctl": {".", "loom/cmd/loomctl"}, "grpcurl": {"test/grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl"},
	} {
		built, err := daemon.BuildTool(folder, of.module, of.path)
		if err != nil {
			return err
		}
		if err := os.Rename(built, filepath.Join(folder, name)); err != nil {
			return fmt.Errorf("name the tool: %w", err)
		}
	}
	return os.Chmod(folder, 0o755)
}
