package config

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
)

// maxText bounds any text of the file, in bytes: what is longer is a mistake.
const maxText = 4096

// form is a rule for a text.
type form struct {
	// pattern is a regular expression for the whole text, for editors. It
	// lets pass what check may refuse. Empty means any text.
	pattern string
	check   func(string) error
}

// formOf returns the form that a tag names, and whether there is one.
func formOf(name string) (form, bool) {
	switch name {
	case "name":
		return form{`[A-Za-z0-9][A-Za-z0-9._-]{0,62}`, checkName}, true
	case "service":
		return form{`[!-.0-~]+`, checkService}, true
	case "authority":
		return form{`[^\s/*@?#]+`, checkAuthority}, true
	case "glob":
		return form{`[^\s/@?#]+`, checkGlob}, true
	case "identity":
		return form{`[ -~]+`, checkIdentity}, true
	case "host":
		return form{`[A-Za-z0-9._:-]+`, checkHost}, true
	case "browser_host":
		return form{`[A-Za-z0-9._:\[\]-]+`, checkBrowserHost}, true
	case "regex":
		return form{`.+`, checkRegex}, true
	case "metadata_name":
		return form{metadataPattern, checkMetadataName}, true
	case "metadata_edit":
		return form{metadataPattern, checkMetadataEdit}, true
	case "metadata_value":
		return form{`[ -~]*`, checkMetadataValue}, true
	case "path":
		return form{`.+`, checkPath}, true
	case "socket":
		return form{`/.+`, checkSocket}, true
	case "target":
		return form{targetPattern, checkTarget}, true
	case "group":
		return form{`[a-z_][a-z0-9_-]*|[0-9]+`, checkGroup}, true
	case "user":
		return form{`[a-z_][a-z0-9_-]*|[0-9]+`, checkUser}, true
	case "proto_name":
		return form{`[A-Za-z_]\w*(\.[A-Za-z_]\w*)*`, checkProtoName}, true
	case "text":
		return form{``, checkText}, true
	}
	return form{}, false
}

// metadataPattern is what gRPC allows in a metadata name.
const metadataPattern = `[a-z0-9_.-]+`

func checkText(s string) error {
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return wrong("%s has a control character", quote(s))
		}
	}
	return nil
}

func checkPath(s string) error {
	if s == "" {
		return wrong("the path is empty")
	}
	return checkText(s)
}

// ValidName reports whether a text may name a thing of loom.yaml, such as a
// backend or a session.
func ValidName(s string) bool { return checkName(s) == nil }

func checkName(s string) error {
	if s == "" {
		return wrong("the name is empty")
	}
	if len(s) > 63 {
		return wrong("the name has %d bytes; at most 63 are allowed", len(s))
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && (i == 0 || c != '.' && c != '_' && c != '-') {
			return wrong("%s is not a name: names have letters, digits and . _ - and begin with a letter or digit", quote(s))
		}
	}
	return nil
}

func checkService(s string) error {
	if service, method, ok := strings.Cut(strings.TrimPrefix(s, "/"), "/"); ok && service != "" && method != "" && !strings.Contains(method, "/") {
		return &mistake{quote(s) + " is a path, not a name", "did you mean service: " + service + " and method: " + method + "?"}
	}
	if s == "" {
		return wrong("the name is empty")
	}
	for _, r := range s {
		switch {
		case r == '*':
			return &mistake{quote(s) + ": there are no wildcards here", "use path_regex"}
		case r <= ' ' || r > '~' || r == '/':
			return wrong("%s is not a name: %q cannot be in it", quote(s), r)
		}
	}
	return nil
}

// checkGlob takes a host with an optional port, in both of which * may stand.
func checkGlob(s string) error {
	if s == "" {
		return wrong("the authority is empty; leave the key out to match any")
	}
	for _, r := range s {
		if r <= ' ' || r > '~' || strings.ContainsRune(`/@?#\`, r) {
			return wrong("%s: %q cannot be in an authority; the only wildcard is *", quote(s), r)
		}
	}
	host, port, hasPort := cutPort(s)
	switch {
	case host == "":
		return &mistake{quote(s) + " has no host", "write *:" + port + " for any host"}
	case strings.ContainsAny(host, "[]"):
		return &mistake{quote(s) + " is not an authority", "brackets go around an IPv6 address, as in [::1]:443"}
	case len(host) > maxHost:
		return wrong("the host has %d bytes; at most %d are allowed", len(host), maxHost)
	case hasPort && (len(port) == 0 || len(port) > 5 || strings.Trim(port, "0123456789*") != ""):
		return &mistake{quote(s) + ": " + quote(port) + " is not a port", "leave out the colon to match any port"}
	}
	return nil
}

// checkIdentity takes a SPIFFE ID, a DNS name or a common name, in which * may
// stand.
func checkIdentity(s string) error {
	if s == "" {
		return wrong("the identity is empty; leave the key out to match any client")
	}
	for _, r := range s {
		if r < ' ' || r > '~' {
			return wrong("%s: %q cannot be in an identity", quote(s), r)
		}
	}
	if id, ok := strings.CutPrefix(s, "spiffe://"); ok {
		if domain, _, _ := strings.Cut(id, "/"); domain != strings.ToLower(domain) {
			return &mistake{"the trust domain in " + quote(s) + " is not in lower case", didYouMean("spiffe://" + strings.ToLower(domain) + id[len(domain):])}
		}
		return nil
	}
	if strings.Contains(s, "://") {
		return &mistake{quote(s) + " is no SPIFFE ID", "write spiffe://DOMAIN/PATH"}
	}
	return nil
}

// cutPort cuts an authority at its port. A bare IPv6 address has none.
func cutPort(s string) (host, port string, hasPort bool) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if host, rest, closed := strings.Cut(inner, "]"); closed && (rest == "" || rest[0] == ':') {
			port, hasPort = strings.CutPrefix(rest, ":")
			return host, port, hasPort
		}
		return s, "", false
	}
	if strings.Count(s, ":") != 1 {
		return s, "", false
	}
	return strings.Cut(s, ":")
}

func checkAuthority(s string) error {
	if strings.Contains(s, "*") {
		return wrong("%s: there are no wildcards here", quote(s))
	}
	if err := checkGlob(s); err != nil {
		return err
	}
	host, _, _ := cutPort(s)
	return checkHost(host)
}

func checkRegex(s string) error {
	if s == "" {
		return wrong("the regular expression is empty and would match everything; leave the key out")
	}
	if _, err := regexp.Compile(s); err != nil {
		msg := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		hint := ""
		if strings.Contains(msg, "(?") {
			hint = "RE2 has no look-around and no back-references"
		}
		return &mistake{"not a regular expression: " + msg, hint}
	}
	return nil
}

func checkMetadataName(s string) error {
	if s == "" {
		return wrong("the metadata name is empty")
	}
	if strings.HasPrefix(s, ":") {
		return wrong("%s is a pseudo-header, not metadata", quote(s))
	}
	for _, r := range s {
		if 'A' <= r && r <= 'Z' {
			return &mistake{quote(s) + " is not in lower case", didYouMean(strings.ToLower(s))}
		}
		if (r > '~' || !isAlphanumeric(byte(r))) && r != '-' && r != '_' && r != '.' {
			return wrong("%s: only letters, digits and - _ . are allowed", quote(s))
		}
	}
	return nil
}

// checkMetadataEdit refuses, beside what is no name, the fields that make a
// call what it is; HTTP/2 and gRPC peers would refuse the call.
func checkMetadataEdit(s string) error {
	if err := checkMetadataName(s); err != nil {
		return err
	}
	protocol := []string{"te", "content-type", "content-length", "host", "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"}
	if slices.Contains(protocol, s) || strings.HasPrefix(s, "grpc-") {
		return wrong("%s belongs to the protocol and cannot be changed", quote(s))
	}
	return nil
}

func checkMetadataValue(s string) error {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return &mistake{"a metadata value has printable ASCII only, not " + quote(string(r)), "a name that ends in -bin takes anything, in base64"}
		}
	}
	return nil
}

// checkBinary takes the value of a name that ends in -bin.
func checkBinary(s string) error {
	s = strings.TrimRight(s, "=")
	if _, err := base64.RawStdEncoding.DecodeString(s); err != nil {
		return wrong("the value of a name that ends in -bin must be base64")
	}
	return nil
}

func checkTarget(s string) error {
	_, err := parseTarget(s)
	return err
}

func checkGroup(s string) error {
	if !isAccount(s) {
		return wrong("%s is not the name of a group", quote(s))
	}
	return nil
}

func checkUser(s string) error {
	if !isAccount(s) {
		return wrong("%s is not the name of a user", quote(s))
	}
	return nil
}

// isAccount reports whether a text may name a user or a group of the machine.
func isAccount(s string) bool {
	return s != "" && s[0] != '-' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

func checkProtoName(s string) error {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || isDigits(part[:1]) {
			return wrong("%s is not the full name of a field, such as acme.users.v1.User.email", quote(s))
		}
		for i := range len(part) {
			if !isAlphanumeric(part[i]) && part[i] != '_' {
				return wrong("%s is not the full name of a field, such as acme.users.v1.User.email", quote(s))
			}
		}
	}
	return nil
}
