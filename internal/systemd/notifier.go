package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
)

const (
	// sendTimeout bounds how long a message may take. systemd reads them at
	// once unless it is stuck, and then nobody here should be, too.
	sendTimeout = time.Second
	// statusBytes bounds the line that people see in systemctl status.
	statusBytes = 512
)

// Env is os.LookupEnv.
type Env func(name string) (string, bool)

// role is what a process is to systemd.
type role int

const (
	heir    role = iota // it will be the main process, and is silent until then
	leader              // it is the main process
	retired             // another one has taken its place: it is silent for ever
)

// Notifier tells systemd how this process fares. Its methods may be called
// from any goroutine; those of a nil one do nothing. Each returns an error only
// when systemd should have heard something and did not.
type Notifier struct {
	// Immutable.
	socket   string        // where systemd listens; empty: nowhere
	watchdog time.Duration // how long systemd waits for a ping; 0: it wants none
	leading  chan struct{} // closed once this process is the main one

	mu sync.Mutex
	// Guarded by mu. Messages are sent under it, so that none overtakes another.
	role   role
	status string // the last one, told or still to be told
}

// New reads from the environment where systemd listens and whether it has a
// watchdog. A successor takes over from another process of the unit, and is
// silent until TakeOver. A Notifier comes with an error, too: it does what
// could be understood.
func New(env Env, successor bool) (*Notifier, error) {
	n := &Notifier{leading: make(chan struct{})}
	n.socket, _ = env("NOTIFY_SOCKET")
	if !successor {
		n.role = leader
		close(n.leading)
	}
	var err error
	if n.socket != "" {
		n.watchdog, err = watchdogOf(env, successor)
	}
	return n, err
}

// Listens reports whether there is a systemd that hears what is said here.
func (n *Notifier) Listens() bool { return n != nil && n.socket != "" }

// Ready says that calls are served. systemd then begins what waits for loomd.
func (n *Notifier) Ready(status string) error {
	return n.tell(func() []string {
		n.status = line(status)
		return []string{"READY=1", "STATUS=" + n.status}
	})
}

// Status says in one line how things are, for systemctl status. Nothing is
// sent when it is as before.
func (n *Notifier) Status(status string) error {
	return n.tell(func() []string {
		if s := line(status); s != n.status {
			n.status = s
			return []string{"STATUS=" + s}
		}
		return nil
	})
}

// Stopping says that the unit ends, which may take as long as within whatever
// TimeoutStopSec says. It says nothing in a process that has been replaced:
// the unit goes on without it.
func (n *Notifier) Stopping(status string, within time.Duration) error {
	return n.tell(func() []string {
		n.status = line(status)
		return []string{
			"STOPPING=1", "STATUS=" + n.status,
			"EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(within.Microseconds(), 10),
		}
	})
}

// Main makes another process of the unit the main one, and returns when systemd
// knows. If ctx ends before, systemd has been told and may be slow. Either way
// this process says nothing more, and there is no way back: systemd judges the
// unit by the life of the other process from then on.
func (n *Notifier) Main(ctx context.Context, pid int) error {
	if !n.Listens() {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.role != leader {
		return errors.New("make another process the main one: this one is not")
	}
	if err := n.sendLocked("MAINPID=" + strconv.Itoa(pid)); err != nil {
		return err
	}
	n.role = retired
	return n.barrierLocked(ctx)
}

// TakeOver says that systemd takes this process for the main one now.
func (n *Notifier) TakeOver() error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.role != heir {
		return nil
	}
	n.role = leader
	close(n.leading)
	if n.socket == "" || n.status == "" {
		return nil
	}
	return n.sendLocked("STATUS=" + n.status)
}

// tell sends the lines that say returns, if it is for this process to speak.
// say is called in any case, with the lock held: a status that is not for now
// is for TakeOver.
func (n *Notifier) tell(say func() []string) error {
	if !n.Listens() {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	lines := say()
	if n.role != leader || len(lines) == 0 {
		return nil
	}
	return n.sendLocked(lines...)
}

// sendLocked sends one message of several assignments. It connects each time:
// systemd makes its socket anew when it is executed anew.
func (n *Notifier) sendLocked(lines ...string) error {
	conn, err := n.dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("tell systemd %s: %w", lines[0], err)
	}
	return nil
}

func (n *Notifier) dial() (*net.UnixConn, error) {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("reach systemd: %w", err)
	}
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return nil, errors.Join(fmt.Errorf("reach systemd: %w", err), conn.Close())
	}
	return conn, nil
}

// barrierLocked returns when systemd has done all that it was told before: it
// then closes the end of a pipe that it is given.
func (n *Notifier) barrierLocked(ctx context.Context) error {
	near, far, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("wait for systemd: %w", err)
	}
	defer near.Close()
	if err := errors.Join(n.pass("BARRIER=1", far), far.Close()); err != nil {
		return fmt.Errorf("wait for systemd: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = near.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := near.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("wait until systemd knows its main process: %w", context.Cause(ctx))
	}
	return nil
}

// pass sends a message with a descriptor. The net package knows no way for a
// socket that is connected.
func (n *Notifier) pass(message string, file *os.File) error {
	conn, err := n.dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	to, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	from, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	held := from.Control(func(fd uintptr) {
		waited := to.Write(func(socket uintptr) bool {
			sent = syscall.Sendmsg(int(socket), []byte(message), syscall.UnixRights(int(fd)), nil, 0)
			return !errors.Is(sent, syscall.EAGAIN)
		})
		sent = errors.Join(sent, waited)
	})
	return errors.Join(sent, held)
}

// line makes of a text what systemd takes as one line: it refuses what is not
// UTF-8, and further lines would be assignments.
func line(text string) string {
	between := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), between), " ")
	if len(text) > statusBytes {
		text = strings.ToValidUTF8(text[:statusBytes-len("...")], "") + "..."
	}
	return text
}
