package admin

import "golang.org/x/sys/unix"

// peerOf returns who connected to the socket.
func peerOf(fd int) (process, error) {
	c, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return process{}, err
	}
	p := process{uid: c.Uid}
	if c.Ngroups > 0 {
		p.gid = c.Groups[0]
	}
	if pid, err := unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID); err == nil {
		p.pid = int32(pid)
	}
	return p, nil
}
