package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"loom/internal/admin"
	"loom/internal/config"
)

// The admin socket is for its owner and a group: whoever may connect may at
// least look at calls.
const (
	adminMode       = 0o660
	adminFolderMode = 0o750
	ownFolderMode   = 0o700 // where everybody may make folders
)

// AdminSocket is where the admin service listens.
type AdminSocket struct {
	Path string // empty: there is no admin service
	// Chosen says that nobody asked for this path: without it loomd warns and
	// serves calls all the same.
	Chosen bool
	// Shared says that the folder above that of the socket is open to all: the
	// socket's own must belong to this user, and to nobody else.
	Shared bool
}

// listenAdmin binds the socket for the group, and makes its folder if that is
// not there.
func (b *binder) listenAdmin(at AdminSocket, group string) (*socket, error) {
	gid := -1 // as it is
	if group != "" {
		var err error
		if gid, err = admin.GroupID(group); err != nil {
			return nil, err
		}
	}
	if err := adminFolder(at, gid); err != nil {
		return nil, fmt.Errorf("make the folder of the admin socket: %w", err)
	}
	// For its owner alone until it has its group.
	l, err := b.listen("admin", config.Address{Network: "unix", Text: at.Path}, modes{born: 0o600, ready: adminMode})
	if err != nil {
		return nil, err
	}
	if gid >= 0 {
		err = os.Chown(at.Path, -1, gid)
	}
	if err == nil {
		err = os.Chmod(at.Path, adminMode)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("give the admin socket to its group: %w", err), l.Close())
	}
	return l, nil
}

// adminFolder makes the folder of the socket. One that is there stays as it
// is: its owner knows who may pass.
func adminFolder(at AdminSocket, gid int) error {
	folder, mode := filepath.Dir(at.Path), fs.FileMode(adminFolderMode)
	if at.Shared {
		mode = ownFolderMode
	}
	switch err := os.Mkdir(folder, mode); {
	case errors.Is(err, fs.ErrExist):
		if at.Shared {
			return ownFolder(folder)
		}
		return nil
	case err != nil:
		return err
	}
	// Past the umask.
	err := os.Chmod(folder, mode)
	if err == nil && gid >= 0 {
		err = os.Chown(folder, -1, gid)
	}
	if err != nil {
		return errors.Join(err, os.Remove(folder))
	}
	return nil
}

// ownFolder refuses a folder that others made or may write to.
func ownFolder(folder string) error {
	info, err := os.Lstat(folder)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(owner.Uid) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is there and is not a folder for this user alone; remove it", folder)
	}
	return nil
}
