// Package daemon builds loomd and runs it as a real process for the scenario
// tests, which then look at it from outside only: its sockets, its output, its
// exit code and what the kernel says of it.
//
// Every process that it starts belongs to the test that started it, and is
// ended, waited for, and on failure quoted, when that test is over. Ports are
// picked free and given as flags; nothing is read from loomd's output to find
// them, a listener is taken to be up when it accepts.
package daemon

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Program is a built loomd.
type Program struct {
	folder string
	path   string
}

// Build compiles loomd from this repository into a temporary folder. With race
// the binary has the race detector in it, is some times slower, and exits with
// code 66 once it has reported a race; a test of costs builds it without.
// Remove takes the folder away again. Tags are those of the build.
func Build(race bool, tags ...string) (*Program, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "loomd-build")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the build: %w", err)
	}
	program := &Program{folder: folder, path: filepath.Join(folder, "loomd")}
	args := []string{"build", "-o", program.path, "-tags", strings.Join(tags, ",")}
	if race {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "./cmd/loomd")...)
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build loomd: %w\n%s", err, output)
	}
	return program, nil
}

// RunTests builds loomd as Build does, for the tests of a package to find it in
// program, and returns the exit code of the tests.
func RunTests(m *testing.M, race bool, program **Program) int {
	built, err := Build(race)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer built.Remove()
	*program = built
	return m.Run()
}

// RunTestsAndLoomctl is RunTests for a package that runs loomctl, too: its tests
// find the path of that in loomctl.
func RunTestsAndLoomctl(m *testing.M, race bool, program **Program, loomctl *string) int {
	folder, err := os.MkdirTemp("", "loomctl-build")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }()
		*loomctl, err = BuildTool(folder, ".", "loom/cmd/loomctl")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return RunTests(m, race, program)
}

// Path is where the binary lies.
func (p *Program) Path() string { return p.path }

// Remove deletes the binary, as well as it can.
func (p *Program) Remove() {
	// What cannot be removed lies in the folder for temporary files, and the
	// tests have been judged.
	_ = os.RemoveAll(p.folder)
}

// Root returns the top folder of the repository: the nearest one above the
// working directory with the go.mod of module loom.
func Root() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		module, err := os.ReadFile(filepath.Join(folder, "go.mod"))
		if err == nil && strings.HasPrefix(string(module), "module loom\n") {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("find the repository: no folder above the working directory holds the go.mod of module loom")
		}
		folder = parent
	}
}

// BuildTool compiles a tool that go.mod pins, named by its import path, and
// returns where it lies. module is the folder of that go.mod, relative to the
// top of the repository.
func BuildTool(folder, module, importPath string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	target := filepath.Join(folder, filepath.Base(filepath.Dir(importPath))+"-"+filepath.Base(importPath))
	build := exec.Command("go", "build", "-o", target, importPath)
	build.Dir = filepath.Join(root, module)
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", importPath, err, output)
	}
	return target, nil
}
