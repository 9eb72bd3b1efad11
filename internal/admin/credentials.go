package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"google.golang.org/grpc/credentials"
)

// process is who connected, as the kernel says.
type process struct {
	uid, gid uint32
	pid      int32 // 0 where the kernel does not tell
}

// AuthType makes a process a credentials.AuthInfo.
func (process) AuthType() string { return "peer credentials of a Unix socket" }

// peerCredentials asks the kernel who is at the other end. Nothing is
// encrypted: the bytes never leave the machine.
type peerCredentials struct {
	// Immutable.
	ask func(net.Conn) (process, error)
}

// ServerHandshake refuses connections of which the kernel says nothing.
func (c peerCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	p, err := c.ask(conn)
	if err != nil {
		return nil, nil, err
	}
	return conn, p, nil
}

// ClientHandshake fails: this is the side of the server.
func (peerCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("peer credentials are for servers")
}

// Info says what is spoken.
func (peerCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "unix"}
}

// Clone returns c, which never changes.
func (c peerCredentials) Clone() credentials.TransportCredentials { return c }

// OverrideServerName does nothing: there is no name to check.
func (peerCredentials) OverrideServerName(string) error { return nil }

// askKernel returns who connected.
func askKernel(conn net.Conn) (process, error) {
	u, ok := conn.(syscall.Conn)
	if !ok || conn.LocalAddr().Network() != "unix" {
		return process{}, errors.New("not a Unix socket: nobody can tell who is at the other end")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return process{}, fmt.Errorf("look at the socket: %w", err)
	}
	var p process
	var asked error
	if err := raw.Control(func(fd uintptr) { p, asked = peerOf(int(fd)) }); err != nil {
		return process{}, fmt.Errorf("look at the socket: %w", err)
	}
	if asked != nil {
		return process{}, fmt.Errorf("ask who is at the other end: %w", asked)
	}
	return p, nil
}
