package hotrestart

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// supported says why there can be no hot restart on this system, if so.
func supported() error { return nil }

// spawn starts the program as a brother of this process, so that whoever looks
// after this one looks after that one as well. It has the descriptors
// that lent says, the environment of c and the nonce.
func spawn(c Command, path, nonce string, stderr *os.File) (*spawned, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a channel: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "channel of the new process")
	defer theirs.Close()
	channel, err := adoptChannel(os.NewFile(uintptr(pair[0]), "channel"), "old")
	if err != nil {
		return nil, fmt.Errorf("make a channel: %w", err)
	}
	ends := make([]int, 2)
	if err := unix.Pipe2(ends, unix.O_CLOEXEC); err != nil {
		channel.close()
		return nil, fmt.Errorf("make a pipe for its stderr: %w", err)
	}
	// Only the end that is read here must not block: the new process expects
	// of its stderr that it does.
	_ = unix.SetNonblock(ends[0], true) // of a pipe, it can
	out := startOutput(os.NewFile(uintptr(ends[0]), "stderr of the new process"), stderr)
	writer := os.NewFile(uintptr(ends[1]), "stderr of the new process")
	p, err := start(c, path, nonce, []uintptr{0, 1, writer.Fd(), theirs.Fd(), stderr.Fd(), uintptr(ends[0])})
	_ = writer.Close()
	if err != nil {
		out.join()
		channel.close()
		return nil, err
	}
	return &spawned{process: p, channel: channel, output: out}, nil
}

// start runs the program with these descriptors.
func start(c Command, path, nonce string, descriptors []uintptr) (*process, error) {
	pidfd := -1
	own := os.Getpid() == 1 // which can have no brother
	attr := &syscall.ProcAttr{
		Dir: c.Dir, Env: append(c.environment(), variable+"="+nonce), Files: descriptors,
		Sys: &syscall.SysProcAttr{PidFD: &pidfd},
	}
	if !own {
		attr.Sys.Cloneflags = unix.CLONE_PARENT
	}
	pid, _, err := syscall.StartProcess(path, c.Args, attr) //nolint:gosec // it is what this process was started with
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	if pidfd < 0 {
		return nil, errors.New("a hot restart needs a kernel with pidfds: Linux 5.4 or later")
	}
	return newProcess(pid, pidfd, own)
}
