package config

import (
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// Address is where loomd listens, as net.Listen wants it.
type Address struct {
	// Network is "tcp" or "unix".
	Network string
	// Text is HOST:PORT or the absolute path of a socket.
	Text string
}

// addressPattern is the form of an address for editors.
const addressPattern = `unix:/.+|[^/]*:[0-9]+`

// maxSocketPath is the longest path of a Unix socket in bytes that every
// system takes: the address structure of macOS has room for no more.
const maxSocketPath = 103

// UnmarshalText reads HOST:PORT, :PORT for all interfaces, or unix:/path.
func (a *Address) UnmarshalText(text []byte) error {
	s := string(text)
	if strings.HasPrefix(s, "unix:") {
		socket, err := socketPath(s)
		if err != nil {
			return err
		}
		*a = Address{Network: "unix", Text: socket}
		return nil
	}
	switch {
	case s == "":
		return wrong("the address is empty")
	case strings.HasPrefix(s, "/"):
		return &mistake{quote(s) + " has no port", didYouMean("unix:" + s)}
	case isDigits(s):
		return &mistake{quote(s) + " has no host", "did you mean 127.0.0.1:" + s + "?"}
	case strings.HasPrefix(s, "*:"):
		return &mistake{quote(s) + ": * is not a host", "did you mean " + s[1:] + ", all interfaces?"}
	}
	host, port, err := splitHostPort(s)
	if err != nil {
		return err
	}
	if host != "" {
		if err := checkHost(host); err != nil {
			return err
		}
	}
	if err := checkPort(port, 0); err != nil {
		return err
	}
	*a = Address{Network: "tcp", Text: s}
	return nil
}

// String returns the address as loom.yaml spells it.
func (a Address) String() string {
	if a.Network == "unix" {
		return "unix:" + a.Text
	}
	return a.Text
}

// MarshalText returns String.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Meets reports whether the two cannot both be listened on, as far as the text
// tells.
func (a Address) Meets(other Address) bool { return a.endpoint().meets(other.endpoint()) }

// endpoint returns the address as something that can be compared.
func (a Address) endpoint() endpoint {
	if a.Network == "unix" {
		return endpoint{network: "unix", host: a.Text}
	}
	host, port, err := splitHostPort(a.Text)
	if err != nil {
		return endpoint{}
	}
	return endpoint{network: "tcp", host: host, port: portNumber(port)}
}

// endpoint is the end of a connection. For unix, host is the path. The zero
// value is no endpoint and meets none.
type endpoint struct {
	network, host string
	port          int
}

// meets reports whether the two cannot both be listened on: same port, and
// hosts that share an interface as far as the text tells. Port 0 is any free
// port, so it meets none.
func (e endpoint) meets(other endpoint) bool {
	if e.network != "tcp" || other.network != "tcp" || e.port != other.port || e.port == 0 {
		return false
	}
	return e.wildcard() || other.wildcard() || plainHost(e.host) == plainHost(other.host)
}

// reaches reports whether dialling e leads to the listener, as far as the text
// tells: whether some other name or address is this machine, it does not.
func (e endpoint) reaches(listener endpoint) bool {
	if e.network != "tcp" || listener.network != "tcp" || e.port != listener.port {
		return false
	}
	if listener.wildcard() {
		return e.local()
	}
	host := plainHost(e.host)
	if e.wildcard() {
		// The system takes a dialled wildcard for its loopback interface.
		host = localhost
	}
	return host == plainHost(listener.host)
}

// wildcard reports whether the host stands for every interface. Go listens on
// IPv4 and IPv6 for both 0.0.0.0 and ::, so they are the same.
func (e endpoint) wildcard() bool {
	ip, err := netip.ParseAddr(e.host)
	return e.host == "" || err == nil && ip.Unmap().IsUnspecified()
}

// local reports whether the host is this machine for certain.
func (e endpoint) local() bool {
	if e.wildcard() || plainHost(e.host) == localhost {
		return true
	}
	ip, err := netip.ParseAddr(e.host)
	return err == nil && ip.Unmap().IsLoopback()
}

// localhost stands for 127.0.0.1 and ::1, since the name resolves to either.
const localhost = "localhost"

// plainHost brings spellings of one host together.
func plainHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if strings.HasSuffix(host, ".localhost") || host == "ip6-localhost" {
		return localhost
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap()
	if ip == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || ip == netip.IPv6Loopback() {
		return localhost
	}
	return ip.String()
}

// splitHostPort cuts HOST:PORT, where an IPv6 address stands in brackets.
func splitHostPort(s string) (host, port string, err error) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return "", "", &mistake{quote(s) + " has no port", "write HOST:PORT"}
	}
	host, port = s[:colon], s[colon+1:]
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		if !closed || err != nil || !ip.Is6() {
			return "", "", &mistake{quote(s) + " is not an address", "brackets go around an IPv6 address, as in [::1]:9999"}
		}
		return inner, port, nil
	}
	if strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(host); err == nil {
			return "", "", &mistake{quote(s) + " needs brackets", didYouMean("[" + host + "]:" + port)}
		}
		if _, err := netip.ParseAddr(s); err == nil {
			return "", "", &mistake{quote(s) + " has no port", "write [" + s + "]:PORT"}
		}
		return "", "", &mistake{quote(s) + " has too many colons", "write HOST:PORT"}
	}
	return host, port, nil
}

// maxHost is the longest name that DNS knows.
const maxHost = 253

// checkHost takes a DNS name or an IP address without brackets.
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	name := strings.TrimSuffix(host, ".")
	if name == "" {
		return wrong("the host is empty")
	}
	if len(name) > maxHost {
		return wrong("the host has %d bytes; at most %d are allowed", len(name), maxHost)
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return wrong("%s is not a host name", quote(host))
		}
		for _, r := range label {
			if r > '~' || !isAlphanumeric(byte(r)) && r != '-' && r != '_' {
				return wrong("%s is not a host name: %q cannot be in it", quote(host), r)
			}
		}
	}
	if last := name[strings.LastIndexByte(name, '.')+1:]; isDigits(last) {
		return wrong("%s is neither a host name nor an IP address", quote(host))
	}
	return nil
}

// checkBrowserHost takes a host as browsers name it: with a port, unless it is
// that of the scheme.
func checkBrowserHost(s string) error {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		return &mistake{quote(s) + " is a URL, not a host", didYouMean(host)}
	}
	if _, err := netip.ParseAddr(s); err == nil || !strings.Contains(s, ":") {
		return checkHost(s)
	}
	host, port, err := splitHostPort(s)
	if err != nil {
		return err
	}
	if err := checkHost(host); err != nil {
		return err
	}
	return checkPort(port, 1)
}

// checkPort takes a decimal port number from least to 65535.
func checkPort(port string, least int) error {
	if port == "" {
		return &mistake{"the port is missing", "write HOST:PORT"}
	}
	n := portNumber(port)
	if !isDigits(port) || n < least || n > 65535 {
		return wrong("port %s is not a number from %d to 65535", quote(port), least)
	}
	return nil
}

// portNumber returns -1 for what is no number.
func portNumber(port string) int {
	n, err := strconv.Atoi(port)
	if err != nil {
		return -1
	}
	return n
}

// socketPath returns the path of unix:/path or unix:///path.
func socketPath(text string) (string, error) {
	socket := strings.TrimPrefix(text, "unix:")
	if rest, ok := strings.CutPrefix(socket, "//"); ok {
		if !strings.HasPrefix(rest, "/") {
			return "", &mistake{quote(text) + " has two slashes after the colon, where one or three belong", didYouMean("unix:/" + rest)}
		}
		socket = rest
	}
	if err := checkSocket(socket); err != nil {
		return "", err
	}
	return path.Clean(socket), nil
}

// checkSocket takes the path of a Unix socket.
func checkSocket(socket string) error {
	switch {
	case socket == "":
		return wrong("the path of the Unix socket is empty")
	case strings.HasPrefix(socket, "@"):
		return wrong("abstract Unix sockets are not supported; give a path")
	case !strings.HasPrefix(socket, "/"):
		// After a hot restart the working directory may be another.
		return &mistake{"the path of a Unix socket must be absolute, not " + quote(socket), "write unix:/run/name.sock"}
	case strings.HasSuffix(socket, "/"):
		return wrong("%s is a folder, not the path of a socket", quote(socket))
	case len(socket) > maxSocketPath:
		return wrong("the path of a Unix socket has %d bytes; at most %d are allowed", len(socket), maxSocketPath)
	}
	return checkPath(socket)
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
