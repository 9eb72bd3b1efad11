package adminclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// dialTime is how long a socket may take to accept: it is on this machine.
const dialTime = 2 * time.Second

// UnreachableError says that nobody answers.
type UnreachableError struct {
	Tried []string // the sockets
	Err   error    // of the last one
}

// Error says which were tried, and what to do.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no loomd answers (tried %s): start it, or say where its socket is with --socket", strings.Join(e.Tried, ", "))
}

// Unwrap returns the error of the last socket.
func (e *UnreachableError) Unwrap() error { return e.Err }

// DeniedError says that a socket is there and may not be used.
type DeniedError struct{ Socket string }

// Error says what to do.
func (e *DeniedError) Error() string {
	return e.Socket + ": permission refused: run this as root, as the user that runs loomd, or as a member of its admin.group"
}

// find returns the first socket at which somebody answers: the one that was
// named, if one was, else one of the usual places. A socket that may not be
// used is passed over while another answers.
func find(ctx context.Context, named string, e Environment) (string, error) {
	places := []string{named}
	if named == "" {
		if places = []string{e.Named()}; places[0] == "" {
			places = e.Places()
		}
	}
	var refused error
	nobody := &UnreachableError{}
	for _, place := range places {
		err := answers(ctx, place, e)
		switch {
		case err == nil:
			return place, nil
		case errors.Is(err, fs.ErrPermission) && refused == nil:
			refused = &DeniedError{Socket: place}
		}
		nobody.Tried, nobody.Err = append(nobody.Tried, place), err
	}
	if refused != nil {
		return "", refused
	}
	return "", nobody
}

// answers tries a socket.
func answers(ctx context.Context, socket string, e Environment) error {
	if e.Shared(socket) {
		if err := ownFolder(filepath.Dir(socket), e.UID); err != nil {
			return err
		}
	}
	dialer := net.Dialer{Timeout: dialTime}
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", socket, err)
	}
	return conn.Close()
}

// ownFolder looks whether a folder belongs to the user alone.
func ownFolder(folder string, uid int) error {
	info, err := os.Lstat(folder)
	if err != nil {
		return fmt.Errorf("look at the folder of the socket: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir() || !ok:
		return fmt.Errorf("%s is no folder", folder)
	case int(owner.Uid) != uid:
		return fmt.Errorf("the folder %s belongs to another user", folder)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others may write to the folder %s", folder)
	}
	return nil
}
