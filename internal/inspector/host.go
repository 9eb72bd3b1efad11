package inspector

import (
	"net"
	"net/http"
	"strings"
)

// hostNames returns the Host headers by which a browser may reach address. A
// name that resolves to it but is not here belongs to somebody who rebinds it.
func hostNames(address string, tls bool, extra []string) (map[string]bool, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	names := []string{"localhost", "127.0.0.1", "::1"}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		names = append(names, host)
	}
	out := make(map[string]bool)
	add := func(name string) {
		out[strings.ToLower(net.JoinHostPort(name, port))] = true
		if port == "80" && !tls || port == "443" && tls {
			// Browsers leave out the port that the scheme implies.
			if strings.Contains(name, ":") {
				name = "[" + name + "]"
			}
			out[strings.ToLower(name)] = true
		}
	}
	for _, name := range names {
		add(name)
	}
	for _, name := range extra {
		if _, _, err := net.SplitHostPort(name); err == nil {
			out[strings.ToLower(name)] = true
			continue
		}
		// Behind a proxy of its own the port may be the scheme's.
		out[strings.ToLower(name)] = true
		add(strings.Trim(name, "[]"))
	}
	return out, nil
}

// guardHost lets only requests through that were sent to one of the names.
func (s *Server) guardHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.hosts[strings.ToLower(r.Host)] {
			s.answerError(w, r, failed(http.StatusMisdirectedRequest,
				"the inspector is not reached by this name; list it under allow_hosts if it is yours"))
			return
		}
		next.ServeHTTP(w, r)
	})
}
