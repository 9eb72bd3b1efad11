package filter

import (
	"strings"

	loomv1 "loom/api/loom/v1"
)

// subject tests the texts of a call that a key is about.
type subject func(s *loomv1.CallSummary, p patterns) bool

// textTerm wants one of its patterns to be one of the texts.
type textTerm struct {
	of       subject
	patterns patterns
}

func (t textTerm) match(s *loomv1.CallSummary, _ Extra) bool { return t.of(s, t.patterns) }

// subjects by key; that without a key is the path.
var subjects = map[string]subject{
	"": func(s *loomv1.CallSummary, p patterns) bool { return p.test(s.GetPath()) },
	"method": func(s *loomv1.CallSummary, p patterns) bool {
		_, method := halves(s.GetPath())
		return p.test(method) || p.test(s.GetPath())
	},
	"service": func(s *loomv1.CallSummary, p patterns) bool {
		service, _ := halves(s.GetPath())
		return p.test(service) || p.test(service[strings.LastIndexByte(service, '.')+1:])
	},
	"route":    func(s *loomv1.CallSummary, p patterns) bool { return p.test(s.GetRoute()) },
	"upstream": func(s *loomv1.CallSummary, p patterns) bool { return p.test(s.GetBackend()) },
	"endpoint": func(s *loomv1.CallSummary, p patterns) bool { return p.test(s.GetEndpoint()) },
	"peer":     func(s *loomv1.CallSummary, p patterns) bool { return isPeer(s.GetPeer(), p) },
	"trace":    func(s *loomv1.CallSummary, p patterns) bool { return p.test(s.GetTrace()) },
	"reason":   func(s *loomv1.CallSummary, p patterns) bool { return p.test(s.GetReason()) },
}

// halves returns the service and the method of a path.
func halves(path string) (service, method string) {
	service, method, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return service, method
}

// isPeer tests an address with its port and without, an IPv6 one with its
// brackets and without.
func isPeer(address string, p patterns) bool {
	if p.test(address) {
		return true
	}
	if strings.HasPrefix(address, "[") {
		host, _, ok := strings.Cut(address[1:], "]")
		return ok && (p.test(host) || p.test(address[:len(host)+2]))
	}
	host, port, ok := strings.Cut(address, ":")
	return ok && host != "" && !strings.Contains(port, ":") && p.test(host)
}
