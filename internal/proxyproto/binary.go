package proxyproto

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
)

// maxBody bounds what follows the first 16 bytes of a header of version 2:
// addresses, the longest of which are 216 bytes, and TLVs, among which the
// certificate of a client may be. HAProxy's own is 2 KiB at most.
const maxBody = 4 << 10

// The families of addresses, with the protocol over them.
const (
	tcp4       = 0x11
	udp4       = 0x12
	tcp6       = 0x21
	udp6       = 0x22
	unixStream = 0x31
	unixDgram  = 0x32
)

// The commands.
const (
	versionLocal = 0x20
	versionProxy = 0x21
)

// readBinary reads a header of version 2, of which the signature has been read.
func readBinary(r io.Reader) (Header, error) {
	var fixed [4]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return Header{}, fmt.Errorf("read the PROXY header: %w", err)
	}
	size := int(binary.BigEndian.Uint16(fixed[2:]))
	if size > maxBody {
		return Header{}, malformed("%d bytes of addresses and TLVs are more than %d", size, maxBody)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return Header{}, fmt.Errorf("read the PROXY header: %w", err)
	}
	switch fixed[0] {
	case versionLocal:
		return Header{}, nil // of the load balancer itself; the rest must be ignored
	case versionProxy:
		return parseBody(fixed[1], body)
	}
	return Header{}, malformed("version and command 0x%02x", fixed[0])
}

// parseBody reads addresses, and holds the TLVs behind them to their lengths.
func parseBody(family byte, body []byte) (Header, error) {
	var h Header
	var length int
	switch family {
	case tcp4, udp4:
		length = 2*4 + 4
	case tcp6, udp6:
		length = 2*16 + 4
	case unixStream, unixDgram:
		length = 2 * 108
	default:
		// Not specified, or one of the future: the address of the connection
		// counts.
		return h, nil
	}
	if len(body) < length {
		return h, malformed("%d bytes are too few for addresses of family 0x%02x", len(body), family)
	}
	if n := (length - 4) / 2; n == 4 || n == 16 {
		ip, _ := netip.AddrFromSlice(body[:n])
		h = source(ip, binary.BigEndian.Uint16(body[2*n:]))
	}
	return h, skipTLVs(body[length:])
}

// skipTLVs checks that what is left is made of types, lengths and values.
func skipTLVs(rest []byte) error {
	for len(rest) > 0 {
		if len(rest) < 3 {
			return malformed("%d bytes where a TLV belongs", len(rest))
		}
		n := 3 + int(binary.BigEndian.Uint16(rest[1:]))
		if n > len(rest) {
			return malformed("a TLV of %d bytes where there are %d", n, len(rest))
		}
		rest = rest[n:]
	}
	return nil
}
