package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

const (
	// firstSocket is the descriptor at which those that systemd passes begin.
	firstSocket = 3
	// maxSockets bounds how many are looked at, more than a unit can have use
	// for: the number comes from the environment.
	maxSockets = 1024
)

// Socket is a listening socket that systemd made for this process (socket
// activation). Who takes it closes its File.
type Socket struct {
	// Name is FileDescriptorName= of its unit, or the name of the unit.
	Name string
	// Addr is where it listens: a *net.TCPAddr or a *net.UnixAddr.
	Addr net.Addr
	File *os.File
}

// Sockets returns the sockets that systemd made for this process, in their
// order. The error says which of the descriptors that it passed are of no use;
// the others are returned all the same. It is called once: the descriptors are
// the caller's then. A process that takes over from another one does not call
// it, for it has other descriptors under those numbers.
func Sockets(env Env) ([]Socket, error) { return sockets(env, firstSocket) }

func sockets(env Env, first int) ([]Socket, error) {
	if pid, _ := env("LISTEN_PID"); pid != strconv.Itoa(os.Getpid()) {
		return nil, nil // they are another process's, whose environment came down to us
	}
	text, _ := env("LISTEN_FDS")
	count, err := strconv.Atoi(text)
	if err != nil || count < 0 || count > maxSockets {
		return nil, fmt.Errorf("LISTEN_FDS=%q is no number up to %d", text, maxSockets)
	}
	text, _ = env("LISTEN_FDNAMES")
	names := strings.Split(text, ":")
	var all []Socket
	for i := range count {
		s := Socket{Name: "unknown"} // as sd_listen_fds_with_names(3) calls it
		if i < len(names) && names[i] != "" {
			s.Name = names[i]
		}
		var bad error
		if s.File, s.Addr, bad = listening(first + i); bad != nil {
			err = errors.Join(err, fmt.Errorf("descriptor %d (%s) of systemd: %w", first+i, s.Name, bad))
			continue
		}
		all = append(all, s)
	}
	return all, err
}

// listening makes a file of a descriptor, if it is a socket on which
// connections can be accepted. Others are left as they are.
func listening(fd int) (*os.File, net.Addr, error) {
	accepts, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	switch {
	case errors.Is(err, syscall.EBADF):
		return nil, nil, errors.New("it is not open")
	case err != nil:
		return nil, nil, errors.New("it is no socket")
	case accepts == 0:
		return nil, nil, errors.New("it does not listen: loomd wants ListenStream= with Accept=no")
	}
	syscall.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), "")
	l, err := net.FileListener(file) // of a copy
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("it is neither TCP nor a Unix socket: %w", err), file.Close())
	}
	return file, l.Addr(), l.Close()
}
