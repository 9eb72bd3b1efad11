package hotrestart

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// The descriptors of a new process, beside 0 and 1. They are not closed on exec
// until Inherited has seen them, and it starts no process before.
const (
	stderrDescriptor  = 2 // a pipe that the old process copies and remembers
	channelDescriptor = 3
	trueDescriptor    = 4 // the true stderr
	restDescriptor    = 5 // the other end of that pipe
)

// lent is the stderr that a new process has until it serves. It holds the
// reading end of the pipe as well, so that nothing which it writes is lost, and
// no write ends it, when the old process is gone.
type lent struct {
	once         sync.Once
	stderr, rest *os.File
}

func newLent() *lent {
	for fd := channelDescriptor; fd <= restDescriptor; fd++ {
		syscall.CloseOnExec(fd)
	}
	return &lent{stderr: os.NewFile(trueDescriptor, "stderr"), rest: os.NewFile(restDescriptor, "rest of stderr")}
}

// giveBack makes the true stderr descriptor 2, and writes to it what nobody
// has read from the pipe.
func (l *lent) giveBack() {
	l.once.Do(func() {
		defer l.stderr.Close()
		defer l.rest.Close()
		_ = unix.Dup3(trueDescriptor, stderrDescriptor, 0) // both are open
		raw, err := l.rest.SyscallConn()
		if err != nil {
			return
		}
		buffer := make([]byte, 4<<10)
		_ = raw.Control(func(fd uintptr) {
			for {
				n, err := unix.Read(int(fd), buffer) // does not wait: the old process made it so
				if n <= 0 || err != nil {
					return
				}
				_, _ = l.stderr.Write(buffer[:n])
			}
		})
	})
}
