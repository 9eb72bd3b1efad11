package hotrestart

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// process is a successor, known by a descriptor and never by its number: that
// may be another process's by the time that it is used.
type process struct {
	pid   int
	pidfd *os.File
	own   bool          // it is a child of this process, which has to wait for it
	died  chan struct{} // closed by watch
	done  chan struct{} // closed when watch returns
}

func newProcess(pid, pidfd int, own bool) (*process, error) {
	if err := unix.SetNonblock(pidfd, true); err != nil {
		_ = unix.Close(pidfd)
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	p := &process{pid: pid, pidfd: os.NewFile(uintptr(pidfd), "pidfd"), own: own, died: make(chan struct{}), done: make(chan struct{})}
	go p.watch()
	return p, nil
}

// watch waits until the process ends, or release.
func (p *process) watch() {
	defer close(p.done)
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return
	}
	err = raw.Read(func(fd uintptr) bool {
		set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(set, 0)
		for err == unix.EINTR {
			n, err = unix.Poll(set, 0)
		}
		if n > 0 && p.own {
			_ = unix.Waitid(unix.P_PIDFD, int(fd), nil, unix.WEXITED, nil) // it is there to be waited for
		}
		return n > 0
	})
	if err == nil {
		close(p.died)
	}
}

func (p *process) signal(which unix.Signal) {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return
	}
	// It fails for a process that has ended, which is what is wanted.
	_ = raw.Control(func(fd uintptr) { _ = unix.PidfdSendSignal(int(fd), which, nil, 0) })
}

// terminate asks the process to end in its own time.
func (p *process) terminate() { p.signal(unix.SIGTERM) }

// end ends the process at once, also if it is stopped, and reports whether it
// is gone.
func (p *process) end() bool {
	p.signal(unix.SIGKILL)
	t := time.NewTimer(dying)
	defer t.Stop()
	select {
	case <-p.died:
		return true
	case <-t.C:
		return false
	}
}

// release stops watching. A child of this process is watched to its end.
func (p *process) release() {
	if p.own {
		select {
		case <-p.died:
		default:
			return
		}
	}
	_ = p.pidfd.Close()
	<-p.done
}
