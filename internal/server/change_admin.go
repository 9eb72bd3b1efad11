package server

import (
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"

	"loom/internal/admin"
	"loom/internal/h2"
)

// admin has others use the admin socket, or use it in another way. Its folder
// stays as it is: its owner knows who may pass.
func (c *change) admin(context.Context) error {
	was, is, a := &c.was.cfg.Admin, &c.next.cfg.Admin, c.server.watch.admin
	if a == nil || was.Group == is.Group && slices.Equal(was.ReadOnly, is.ReadOnly) {
		return nil
	}
	rights, err := admin.NewRights(is.Group, is.ReadOnly)
	if err != nil {
		return err
	}
	if was.Group != is.Group {
		if err := c.giveSocket(a.socket.path, is.Group); err != nil {
			return fmt.Errorf("give the admin socket to its group: %w", err)
		}
	}
	c.then(func(*h2.Batch) { a.service.Use(rights) })
	return nil
}

// giveSocket gives a socket to a group; empty: to that of the process.
func (c *change) giveSocket(path, group string) error {
	gid := os.Getegid()
	if group != "" {
		var err error
		if gid, err = admin.GroupID(group); err != nil {
			return err
		}
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if err := os.Chown(path, -1, gid); err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		c.otherwise(func() { _ = os.Chown(path, -1, int(owner.Gid)) })
	}
	return nil
}
