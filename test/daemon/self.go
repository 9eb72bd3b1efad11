package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// Act has the test binary be another process, if Self started it as that: act
// is told how, and the process ends with it. TestMain calls it first.
func Act(variable string, act func(how string) error) {
	how := os.Getenv(variable)
	if how == "" {
		return
	}
	if err := act(how); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Self is the test binary as another process.
type Self struct {
	t       *testing.T
	command *exec.Cmd
}

// StartSelf starts the test binary as the process that Act makes of it. It is
// killed when the test ends, if it still runs.
func StartSelf(t *testing.T, variable, how string) *Self {
	t.Helper()
	s := &Self{t: t, command: exec.Command(os.Args[0])}
	s.command.Env = append(os.Environ(), variable+"="+how)
	s.command.Stderr = os.Stderr
	if err := s.command.Start(); err != nil {
		t.Fatalf("start the test binary: %v", err)
	}
	t.Cleanup(s.Kill)
	return s
}

// Kill ends the process at once, if it runs.
func (s *Self) Kill() {
	if s.command.ProcessState != nil {
		return
	}
	_ = s.command.Process.Kill()
	_ = s.command.Wait() // it was killed
}

// Signal sends the process a signal.
func (s *Self) Signal(signal syscall.Signal) {
	s.t.Helper()
	if err := s.command.Process.Signal(signal); err != nil {
		s.t.Fatalf("send %v to the test binary: %v", signal, err)
	}
}
