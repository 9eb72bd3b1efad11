package proxyproto

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

const (
	lineStart = "PROXY "
	// maxLine is the longest line that the specification allows, in bytes,
	// with its CR LF.
	maxLine = 107
)

// readLine reads a header of version 1, of which start has been read.
func readLine(r io.Reader, start []byte) (Header, error) {
	var buf [maxLine]byte
	line := append(buf[:0], start...)
	// Byte by byte: what follows the line is for somebody else.
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		n := len(line)
		if n == maxLine {
			return Header{}, malformed("the line is longer than %d bytes", maxLine)
		}
		line = line[:n+1]
		if _, err := io.ReadFull(r, line[n:]); err != nil {
			return Header{}, fmt.Errorf("read the PROXY header: %w", err)
		}
		if c := line[n]; c != '\r' && c != '\n' && (c < ' ' || c > '~') || c == '\n' && line[n-1] != '\r' {
			return Header{}, malformed("the line has byte 0x%02x", c)
		}
	}
	return parseLine(string(line[len(lineStart) : len(line)-2]))
}

// parseLine reads what is between PROXY and the end of the line.
func parseLine(text string) (Header, error) {
	if text == "UNKNOWN" || strings.HasPrefix(text, "UNKNOWN ") {
		return Header{}, nil // with addresses that must be ignored
	}
	parts := strings.Split(text, " ")
	if len(parts) != 5 {
		return Header{}, malformed("the line has %d words after PROXY, want 5", len(parts))
	}
	family := parts[0]
	if family != "TCP4" && family != "TCP6" {
		return Header{}, malformed("the family %q", family)
	}
	var from netip.AddrPort
	for i, side := range []string{"source", "destination"} {
		ip, err := netip.ParseAddr(parts[1+i])
		if err != nil || ip.Is4() != (family == "TCP4") || ip.Zone() != "" {
			return Header{}, malformed("the %s address %q", side, parts[1+i])
		}
		port, err := parsePort(parts[3+i])
		if err != nil {
			return Header{}, malformed("the %s port %q", side, parts[3+i])
		}
		if i == 0 {
			from = netip.AddrPortFrom(ip, port)
		}
	}
	return source(from.Addr(), from.Port()), nil
}

// parsePort takes a decimal number without sign and leading zeros.
func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err == nil && strconv.FormatUint(n, 10) != text {
		err = strconv.ErrSyntax
	}
	return uint16(n), err
}
