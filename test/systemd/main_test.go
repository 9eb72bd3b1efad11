//go:build linux

package systemd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"loom/test/daemon"
)

// stage is a folder as the README's commands expect the repository to be after
// "make build". Set once by TestMain.
var stage string

// act is the variable that has the test binary be another process.
const act = "LOOM_TEST_SYSTEMD"

func TestMain(m *testing.M) {
	daemon.Act(act, func(how string) error {
		switch how {
		case "keeper":
			return keep(os.Stdin, os.Stdout)
		default:
			return becomeInit(how)
		}
	})
	os.Exit(run(m))
}

func run(m *testing.M) int {
	err := possible()
	if err == nil {
		stage, err = os.MkdirTemp("", "loom-stage")
	}
	if err == nil {
		defer func() { _ = os.RemoveAll(stage) }()
		err = fill(stage)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// possible says what is missing.
func possible() error {
	if os.Getuid() != 0 {
		return errors.New("to boot a systemd takes root: run the tests as root")
	}
	if _, err := os.Stat(manager); err != nil {
		return errors.New("systemd is missing; as root on Debian run: apt-get install systemd")
	}
	if _, err := exec.LookPath("nsenter"); err != nil {
		return errors.New("nsenter is missing; as root on Debian run: apt-get install util-linux")
	}
	return nil
}

// fill builds the commands and copies what is installed beside them.
func fill(stage string) error {
	root, err := daemon.Root()
	if err != nil {
		return err
	}
	// The unit's own sandbox is tried with the race detector in it.
	// Another build, without it, is what is upgraded to.
	for _, args := range [][]string{{"-race", "-o", filepath.Join(stage, "bin") + "/"}, {"-o", filepath.Join(stage, "other") + "/"}} {
		build := exec.Command("go", slices.Concat([]string{"build"}, args, []string{"./cmd/loomd", "./cmd/loomctl"})...)
		build.Dir = root
		if output, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build the commands: %w\n%s", err, output)
		}
	}
	for _, folder := range []string{"systemd", "configs"} {
		if err := os.CopyFS(filepath.Join(stage, folder), os.DirFS(filepath.Join(root, folder))); err != nil {
			return fmt.Errorf("copy %s: %w", folder, err)
		}
	}
	// It is the working directory of commands that other users run.
	return os.Chmod(stage, 0o755)
}
