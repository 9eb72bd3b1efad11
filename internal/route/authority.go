package route

import (
	"errors"
	"fmt"
	"strings"
)

// maxHost bounds the length in bytes of a host that a rule can name or match:
// a DNS name has at most 253. It also bounds the work of a glob, which grows
// with the product of both lengths.
const maxHost = 255

// pattern is a compiled authority. The zero value matches everything.
type pattern struct {
	// host and port are in lower case; empty means any. With exact, the
	// index has compared the host already.
	host, port string
	exact      bool
}

// compileAuthority reads the authority of a rule, which may be empty.
func compileAuthority(text string) (pattern, error) {
	if text == "" {
		return pattern{}, nil
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("/@?#\\", c) >= 0 {
			return pattern{}, fmt.Errorf("authority %q: %q cannot be in an authority; the only wildcard is *", text, c)
		}
	}
	host, port := splitAuthority(text)
	switch {
	case host == "":
		return pattern{}, fmt.Errorf("authority %q has no host; write *:%s for any host", text, port)
	case len(host) > maxHost:
		return pattern{}, fmt.Errorf("authority has a host of %d bytes; at most %d are allowed", len(host), maxHost)
	case strings.ContainsAny(host, "[]"):
		return pattern{}, fmt.Errorf("authority %q: brackets go around an IPv6 address only, as in [::1]:443", text)
	case strings.HasSuffix(text, ":") && (text[0] == '[' || !strings.Contains(host, ":")):
		return pattern{}, fmt.Errorf("authority %q has no port after the colon; leave out the colon to match any port", text)
	}
	if err := checkPort(port); err != nil {
		return pattern{}, fmt.Errorf("authority %q: %w", text, err)
	}
	p := pattern{host: lowerString(host), port: port}
	p.exact = strings.IndexByte(host, '*') < 0
	if strings.Trim(host, "*") == "" {
		p.host = ""
	}
	return p, nil
}

func checkPort(port string) error {
	if len(port) > 5 {
		return errors.New("a port has at most five digits")
	}
	for i := range len(port) {
		if c := port[i]; c != '*' && (c < '0' || c > '9') {
			return fmt.Errorf("the port %q is not a number", port)
		}
	}
	return nil
}

// matches takes the parts that splitAuthority gave.
func (p *pattern) matches(host, port string) bool {
	if p.port != "" && (port == "" || len(port) > maxHost || !glob(p.port, port)) {
		return false
	}
	if p.exact || p.host == "" {
		return true
	}
	return len(host) <= maxHost && glob(p.host, host)
}

// splitAuthority cuts text into a host without brackets and without a final
// dot, and a port, empty if there is none. It takes any text: what is not an
// authority gives parts that match nothing in particular.
func splitAuthority(text string) (host, port string) {
	host = text
	if strings.HasPrefix(text, "[") {
		if end := strings.IndexByte(text, ']'); end > 0 {
			rest := text[end+1:]
			if rest == "" || rest[0] == ':' {
				return text[1:end], strings.TrimPrefix(rest, ":")
			}
		}
		return text, ""
	}
	// More than one colon and no brackets: a bare IPv6 address.
	if colon := strings.IndexByte(text, ':'); colon >= 0 && strings.IndexByte(text[colon+1:], ':') < 0 {
		host, port = text[:colon], text[colon+1:]
	}
	return strings.TrimSuffix(host, "."), port
}

// glob is globBy for a pattern in lower case and a text in any.
func glob(pattern, text string) bool { return globBy(pattern, text, lower) }

// globBy reports whether all of text, once folded, matches pattern, in which *
// stands for any run of bytes. When a comparison fails, only the last star seen
// has to take one byte more: giving an earlier one more could not help, since
// what follows it has already been found.
func globBy(pattern, text string, fold func(byte) byte) bool {
	p, star, retry := 0, -1, 0
	for t := 0; t < len(text); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, t
			p++
		case p < len(pattern) && pattern[p] == fold(text[t]):
			p++
			t++
		case star >= 0:
			retry++
			p, t = star+1, retry
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// lower folds ASCII only: other letters have no place in an authority, and
// folding them could make two different hosts equal.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

func lowerString(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = lower(b[i])
	}
	return string(b)
}
