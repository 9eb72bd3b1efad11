package config

import "strings"

// targetPattern is the form of a target for editors.
const targetPattern = `unix:/.+|(dns:///|dns://[^/]+/|dns:|passthrough:///)?[^/]+:[0-9]+`

// parseTarget reads a gRPC target of the kinds that loomd knows and returns
// where it leads.
func parseTarget(text string) (endpoint, error) {
	if strings.HasPrefix(text, "unix:") {
		socket, err := socketPath(text)
		if err != nil {
			return endpoint{}, err
		}
		return endpoint{network: "unix", host: socket}, nil
	}
	address, err := targetAddress(text)
	if err != nil {
		return endpoint{}, err
	}
	if isDigits(address) {
		return endpoint{}, &mistake{quote(text) + " has no host", didYouMean("localhost:" + address)}
	}
	host, port, err := splitHostPort(address)
	if err != nil {
		return endpoint{}, err
	}
	if host == "" {
		return endpoint{}, &mistake{quote(text) + " has no host", didYouMean("localhost:" + port)}
	}
	if err := checkHost(host); err != nil {
		return endpoint{}, err
	}
	if err := checkPort(port, 1); err != nil {
		return endpoint{}, err
	}
	return endpoint{network: "tcp", host: host, port: portNumber(port)}, nil
}

// targetAddress takes the scheme off a target and returns its HOST:PORT.
func targetAddress(text string) (string, error) {
	scheme, rest, hasScheme := strings.Cut(text, "://")
	if !hasScheme {
		if name, ok := strings.CutPrefix(text, "dns:"); ok && strings.Contains(name, ":") {
			return strings.TrimPrefix(name, "/"), nil
		}
		for _, other := range []string{"unix-abstract:", "passthrough:", "xds:", "ipv4:", "ipv6:"} {
			if strings.HasPrefix(text, other) {
				return "", unknownScheme(strings.TrimSuffix(other, ":"), text)
			}
		}
		if strings.HasPrefix(text, "/") {
			return "", &mistake{quote(text) + " has no port", didYouMean("unix:" + text)}
		}
		return text, nil
	}
	authority, address, hasPath := strings.Cut(rest, "/")
	switch scheme {
	case "dns", "passthrough":
		if !hasPath {
			return "", &mistake{quote(text) + " needs three slashes", didYouMean(scheme + ":///" + rest)}
		}
		if authority != "" && scheme == "passthrough" {
			return "", &mistake{quote(text) + " names an authority, which passthrough has none of", didYouMean("passthrough:///" + address)}
		}
		return address, checkNameServer(authority)
	case "http", "https", "grpc", "grpcs", "h2c", "tcp":
		return "", &mistake{"a target is not a URL: " + quote(text), didYouMean(authority)}
	}
	return "", unknownScheme(scheme, text)
}

func unknownScheme(scheme, text string) error {
	return &mistake{quote(text) + " has the unknown scheme " + quote(scheme), "known: dns, passthrough, unix, or a plain HOST:PORT"}
}

// checkNameServer takes the authority of a dns target, which may be empty.
func checkNameServer(authority string) error {
	if authority == "" {
		return nil
	}
	if !strings.Contains(authority, ":") {
		return checkHost(authority)
	}
	host, port, err := splitHostPort(authority)
	if err != nil {
		return err
	}
	if err := checkHost(host); err != nil {
		return err
	}
	return checkPort(port, 1)
}
