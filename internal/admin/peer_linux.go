package admin

import "syscall"

// peerOf returns who connected to the socket.
func peerOf(fd int) (process, error) {
	c, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return process{}, err
	}
	return process{uid: c.Uid, gid: c.Gid, pid: c.Pid}, nil
}
