package hotrestart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// variable tells a new process that it is one, and holds the nonce that HELLO
// has to repeat.
const variable = "LOOM_HANDOVER"

// Command says how the first process was started, so that each later one is
// started alike.
type Command struct {
	// Args are the arguments with the name of the program first. The program is
	// looked for anew at each handover: a name with a slash is a file, seen from
	// Dir; one without is looked for in the PATH of Env. So what is started is
	// what lies there now, and not what runs.
	Args []string
	// Env is the environment. What systemd addressed to the first process alone
	// is taken out: LISTEN_* and WATCHDOG_PID.
	Env []string
	// Dir is the working directory.
	Dir string
	// Check are the arguments, without the program, with which the new program
	// judges whether it could start, before it is; its exit code tells. Without
	// any it is not asked.
	Check []string
}

// Started returns how this process was started. Call it first of all, before
// the environment or the directory may change. umask and limits of resources
// need no care: they are inherited, and Go gives RLIMIT_NOFILE back.
func Started() (Command, error) {
	dir, err := os.Getwd()
	if err != nil {
		return Command{}, fmt.Errorf("find the working directory: %w", err)
	}
	return Command{Args: slices.Clone(os.Args), Env: os.Environ(), Dir: dir}, nil
}

// find returns the file of the program.
func (c Command) find() (string, error) {
	if len(c.Args) == 0 || c.Args[0] == "" {
		return "", errors.New("find the program: it was started without a name")
	}
	name := c.Args[0]
	if strings.Contains(name, "/") {
		path := c.absolute(name)
		if err := executable(path); err != nil {
			return "", fmt.Errorf("find the program: %w", err)
		}
		return path, nil
	}
	for _, folder := range filepath.SplitList(c.lookup("PATH")) {
		if path := c.absolute(filepath.Join(folder, name)); executable(path) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find the program: %s is nowhere in PATH", name)
}

func (c Command) absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.Dir, path)
}

func (c Command) lookup(name string) string {
	for _, entry := range c.Env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s cannot be executed", path)
	}
	return nil
}

// environment returns Env without what was meant for another process.
func (c Command) environment() []string {
	return slices.DeleteFunc(slices.Clone(c.Env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return strings.HasPrefix(name, "LISTEN_") || name == "WATCHDOG_PID" || name == variable
	})
}

// check has the program judge whether it could start. The string is what it
// wrote.
func (c Command) check(ctx context.Context, path string) (string, error) {
	if len(c.Check) == 0 {
		return "", nil
	}
	var written tail
	cmd := exec.CommandContext(ctx, path)
	cmd.Args = append(slices.Clone(c.Args[:1]), c.Check...)
	cmd.Env, cmd.Dir = c.environment(), c.Dir
	cmd.Stdout, cmd.Stderr = &written, &written
	cmd.WaitDelay = time.Second // for what it may have started
	err := cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return written.String(), fmt.Errorf("%s %s: %w", path, strings.Join(c.Check, " "), err)
	}
	return "", nil
}
