//go:build linux

package restart

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// follower is a command of loomctl that goes on until it is interrupted.
type follower struct {
	t       *testing.T
	command *exec.Cmd
	stderr  bytes.Buffer // to be read when it has ended
	ended   chan struct{}
	err     error // how it ended; set before ended is closed

	mu     sync.Mutex
	stdout bytes.Buffer // guarded by mu
}

// follow starts one.
func (f *family) follow(args ...string) *follower {
	f.t.Helper()
	o := &follower{t: f.t, command: exec.Command(loomctl, append(args, "--socket", f.socket)...), ended: make(chan struct{})}
	o.command.Stdout, o.command.Stderr = o, &o.stderr
	if err := o.command.Start(); err != nil {
		f.t.Fatal(err)
	}
	go func() {
		defer close(o.ended)
		o.err = o.command.Wait()
	}()
	f.t.Cleanup(func() {
		_ = o.command.Process.Kill() // it may have ended
		<-o.ended
	})
	return o
}

// Write takes what the command prints.
func (o *follower) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stdout.Write(p)
}

// printed is what the command has printed so far.
func (o *follower) printed() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stdout.String()
}

// stop interrupts the command, which has to have run until then.
func (o *follower) stop() {
	o.t.Helper()
	select {
	case <-o.ended:
		o.t.Errorf("loomctl %s ended by itself: %v", strings.Join(o.command.Args[1:], " "), o.err)
	default:
		if err := o.command.Process.Signal(os.Interrupt); err != nil {
			o.t.Error(err)
		}
	}
	<-o.ended
	if o.err != nil {
		o.t.Errorf("loomctl %s: %v\n%s", strings.Join(o.command.Args[1:], " "), o.err, o.stderr.String())
	}
}
