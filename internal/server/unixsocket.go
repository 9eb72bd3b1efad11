package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"loom/internal/config"
)

// listenUnix binds a Unix socket with the mode that the configuration gives
// it. The file returned tells it from one that another process puts there.
func listenUnix(path string, mode config.FileMode) (*net.UnixListener, fs.FileInfo, error) {
	if err := removeStale(path); err != nil {
		return nil, nil, err
	}
	lc := net.ListenConfig{Control: ownerOnly}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, nil, err
	}
	ln, ok := l.(*net.UnixListener)
	if !ok {
		return nil, nil, errors.Join(errors.New("this is no Unix socket"), l.Close())
	}
	// It would remove whatever lies there by then: removeOwn looks first.
	ln.SetUnlinkOnClose(false)
	file, err := os.Lstat(path)
	if err == nil {
		err = os.Chmod(path, fs.FileMode(mode))
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("set mode: %w", err), ln.Close(), os.Remove(path))
	}
	return ln, file, nil
}

// ownerOnly has the socket's file made for its owner alone, until its mode is
// set: Linux takes the mode of the socket itself. Elsewhere this fails, and
// the folder has to keep others out for that moment.
func ownerOnly(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
}

// removeOwn removes the socket's file if it is still the one that we made.
func removeOwn(path string, own fs.FileInfo) error {
	now, err := os.Lstat(path)
	if err == nil && os.SameFile(own, now) {
		return os.Remove(path)
	}
	return nil
}

// removeStale removes the socket file that a process which is gone has left.
// One on which somebody answers stays, and so does anything that is no socket.
// Between the dial and the removal another process may begin to listen; it
// then loses its file, as it would if it had begun a moment earlier.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("a file that is no socket is there; remove it or choose another path")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		return errors.Join(errTaken, c.Close())
	case errors.Is(err, syscall.EAGAIN): // its backlog is full
		return errTaken
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("see whether somebody listens: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
}

var errTaken = errors.New("another process listens there")
