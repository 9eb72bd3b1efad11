// Package proxyproto reads the header by which a load balancer tells whom it
// speaks for: the PROXY protocol of HAProxy, versions 1 and 2.
//
// Invariant: [Read] takes the header off a connection and not a byte more, so
// that whoever reads on may do so on the bare socket. What it holds is bounded
// by 107 bytes of version 1 and [maxBody] of version 2.
//
// Pitfall: the header is as true as its sender. Only listeners that nobody but
// the load balancer reaches may ask for it.
package proxyproto

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Header is what a load balancer says of a connection.
type Header struct {
	// Source is the address of the client; empty if the load balancer does
	// not say it, as for its own health checks: that of the connection counts.
	Source string
}

// signature begins a header of version 2.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// errNone says that a connection begins with something else.
var errNone = errors.New("the connection does not begin with a PROXY header")

// Read reads the header that r begins with. The caller sets a deadline.
func Read(r io.Reader) (Header, error) {
	// Shorter than any header of either version.
	var start [len(signature)]byte
	if _, err := io.ReadFull(r, start[:]); err != nil {
		return Header{}, fmt.Errorf("read the PROXY header: %w", err)
	}
	switch {
	case string(start[:]) == signature:
		return readBinary(r)
	case string(start[:len(lineStart)]) == lineStart:
		return readLine(r, start[:])
	}
	return Header{}, errNone
}

// source returns an address as net.Conn would give it.
func source(ip netip.Addr, port uint16) Header {
	return Header{Source: netip.AddrPortFrom(ip, port).String()}
}

// malformed is an error about what is not as the specification has it.
func malformed(format string, args ...any) error {
	return fmt.Errorf("malformed PROXY header: "+format, args...)
}
