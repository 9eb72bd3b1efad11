package filter

import (
	"strings"

	loomv1 "loom/api/loom/v1"
)

// subject gives the texts of a call that a key is about.
type subject func(s *loomv1.CallSummary, x Extra) []string

// term wants one of its patterns in one of its texts.
type term struct {
	of       subject
	patterns [][]string
	within   bool // anywhere in the text, not the whole of it
}

func (t term) match(s *loomv1.CallSummary, x Extra) bool {
	for _, text := range t.of(s, x) {
		text = fold(text)
		for _, p := range t.patterns {
			if t.within {
				p = append(append([]string{""}, p...), "")
			}
			if glob(p, text) {
				return true
			}
		}
	}
	return false
}

// fold lowers ASCII letters and leaves the rest, so that every language that
// implements filters does the same.
func fold(s string) string {
	b := []byte(s)
	for i, c := range b {
		b[i] = lower(c)
	}
	return string(b)
}

// glob reports whether text is the parts with anything between them.
func glob(parts []string, text string) bool {
	if len(parts) == 1 {
		return text == parts[0]
	}
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		if _, rest, ok = strings.Cut(rest, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}

// term reads a key with its values, or a value that is looked for in the path.
func (p *parser) term() (node, error) {
	begin, end := p.at, p.at
	for end < len(p.text) && (p.text[end] == '.' || p.text[end] == '-' || p.text[end] == '_' || lower(p.text[end]) >= 'a' && lower(p.text[end]) <= 'z' || p.text[end] >= '0' && p.text[end] <= '9') {
		end++
	}
	t := term{of: texts(func(s *loomv1.CallSummary) []string { return []string{s.GetPath()} }), within: true}
	if end > begin && end < len(p.text) && p.text[end] == ':' {
		if t.of = p.subject(fold(p.text[begin:end])); t.of == nil {
			return nil, p.fail(begin, "there is no key "+p.text[begin:end], "known: method service route upstream endpoint peer trace reason md.NAME body")
		}
		t.within = fold(p.text[begin:end]) == "body"
		p.at = end + 1
	}
	for {
		value, err := p.value()
		if err != nil {
			return nil, err
		}
		t.patterns = append(t.patterns, value)
		if p.at >= len(p.text) || p.text[p.at] != ',' {
			return t, nil
		}
		p.at++
	}
}

func texts(of func(s *loomv1.CallSummary) []string) subject {
	return func(s *loomv1.CallSummary, _ Extra) []string { return of(s) }
}

// subject returns what a key is about, nil if there is no such key.
func (p *parser) subject(key string) subject {
	switch key {
	case "method", "service":
		return texts(func(s *loomv1.CallSummary) []string {
			service, method, _ := strings.Cut(strings.TrimPrefix(s.GetPath(), "/"), "/")
			if key == "service" {
				return []string{service, service[strings.LastIndexByte(service, '.')+1:]}
			}
			return []string{method, s.GetPath()}
		})
	case "route":
		return texts(func(s *loomv1.CallSummary) []string { return []string{s.GetRoute()} })
	case "upstream", "backend":
		return texts(func(s *loomv1.CallSummary) []string { return []string{s.GetBackend()} })
	case "endpoint":
		return texts(func(s *loomv1.CallSummary) []string { return []string{s.GetEndpoint()} })
	case "peer":
		return texts(func(s *loomv1.CallSummary) []string { return []string{s.GetPeer()} })
	case "trace":
		return texts(func(s *loomv1.CallSummary) []string { return []string{s.GetTrace()} })
	case "reason":
		return texts(func(s *loomv1.CallSummary) []string { return []string{s.GetReason()} })
	case "body":
		p.needs.Body = true
		return func(_ *loomv1.CallSummary, x Extra) []string {
			if x.Body == nil {
				return nil
			}
			return []string{x.Body()}
		}
	}
	name, ok := strings.CutPrefix(key, "md.")
	if !ok || name == "" {
		return nil
	}
	p.needs.Metadata = true
	return func(_ *loomv1.CallSummary, x Extra) []string {
		if x.Metadata == nil {
			return nil
		}
		return x.Metadata(name)
	}
}
