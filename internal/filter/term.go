package filter

import (
	"slices"
	"strings"

	loomv1 "loom/api/loom/v1"
)

// keys are in the order in which a hint names them. That of metadata has a
// name behind its dot.
var keys = []string{
	"method", "service", "route", "upstream", "endpoint", "status", "kind", "latency", "size", "msgs", "time",
	"peer", "trace", "reason", "by", "is", metadataKey, "body",
}

const metadataKey = "md."

var aliases = map[string]string{"backend": "upstream", "ender": "by"}

// term reads a key with its values, or values that are looked for in the path.
func (p *parser) term() (part, error) {
	begin, end := p.at, p.at
	for end < len(p.text) && isNameByte(p.text[end]) {
		end++
	}
	key := ""
	if name := fold(p.text[begin:end]); name != "" {
		_, number := numbers[name]
		switch {
		case p.is(":", end):
			var err error
			if key, err = p.key(begin, end); err != nil {
				return part{}, err
			}
			p.at = end + 1
		case number && p.is("<>=", end):
			return part{}, p.fail(end, "a colon is missing after "+name, "write "+name+":"+p.text[end:end+1])
		}
	}
	var values []value
	for {
		v, err := p.value()
		if err != nil {
			return part{}, err
		}
		if values = append(values, v); !p.is(",", p.at) {
			break
		}
		p.at++
	}
	n, texts, err := p.test(key, values)
	if err != nil {
		return part{}, err
	}
	text := strings.Join(texts, ",")
	if key != "" {
		text = key + ":" + text
	}
	made := part{node: n, text: text, simple: true}
	switch n.(type) {
	case metadataTerm:
		made.cost = fetchesMetadata
	case bodyTerm:
		made.cost = decodesBodies
	}
	return made, nil
}

// key returns the canonical name of the key in a range of the text.
func (p *parser) key(begin, end int) (string, error) {
	name := fold(p.text[begin:end])
	if key, ok := aliases[name]; ok {
		return key, nil
	}
	switch {
	case name == metadataKey:
		return "", p.fail(begin, "md. needs the name of a metadata key", "such as md.x-request-id:7")
	case strings.HasPrefix(name, metadataKey), slices.Contains(keys, name):
		return name, nil
	}
	var known, shown []string
	for _, key := range keys {
		if key == metadataKey {
			shown = append(shown, "md.NAME")
			continue
		}
		known, shown = append(known, key), append(shown, key)
	}
	hint := nearest(name, append(known, "backend", "ender"))
	if hint == "" {
		hint = "known: " + strings.Join(shown, " ")
	}
	return "", p.fail(begin, "there is no key "+p.text[begin:end], hint)
}

// test returns what judges calls by the values of a key, and the canonical
// texts of the values.
func (p *parser) test(key string, values []value) (node, []string, error) {
	if n, ok := named[key]; ok {
		return p.name(n, values)
	}
	if n, ok := numbers[key]; ok {
		t := numberTerm{of: n.of}
		texts, err := p.compare(values, n.measure.hint, func(text string) (canonical, wrong string) {
			var c comparison
			c, canonical, wrong = n.measure.comparison(text)
			t.tests = append(t.tests, c)
			return canonical, wrong
		})
		return t, texts, err
	}
	if key == "time" {
		var t timeTerm
		texts, err := p.compare(values, timeHint, func(text string) (canonical, wrong string) {
			var m moments
			m, canonical, wrong = newMoments(text)
			t = append(t, m)
			return canonical, wrong
		})
		return t, texts, err
	}
	return p.search(key, values)
}

func (p *parser) name(n names, values []value) (node, []string, error) {
	var t nameTerm
	var texts []string
	for _, v := range values {
		word := v.literal()
		c, ok := n.find(fold(word))
		if !ok || len(v.parts) > 1 {
			return nil, nil, p.fail(v.begin, "there is no "+n.what+" "+word, n.hint(fold(word)))
		}
		t, texts = append(t, c.check), append(texts, c.name)
	}
	return t, texts, nil
}

// compare reads comparisons one by one.
func (p *parser) compare(values []value, hint string, read func(text string) (canonical, wrong string)) ([]string, error) {
	var texts []string
	for _, v := range values {
		if len(v.parts) > 1 {
			return nil, p.fail(v.begin, "a star has no meaning here", hint)
		}
		text, wrong := read(fold(v.literal()))
		if wrong != "" {
			return nil, p.fail(v.begin, wrong, hint)
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// search looks for texts.
func (p *parser) search(key string, values []value) (node, []string, error) {
	plain := plainValue
	if key == "" {
		plain = plainWord
	}
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = v.quoted(plain)
	}
	wanted := newPatterns(values, key == "" || key == "body")
	if key == "body" {
		p.needs.Body = true
		return bodyTerm(wanted), texts, nil
	}
	if name, ok := strings.CutPrefix(key, metadataKey); ok {
		p.needs.Metadata = true
		return metadataTerm{name: name, patterns: wanted}, texts, nil
	}
	return textTerm{of: subjects[key], patterns: wanted}, texts, nil
}

// bodyTerm wants one of its patterns in the messages.
type bodyTerm patterns

func (t bodyTerm) match(_ *loomv1.CallSummary, x Extra) bool {
	return x.Body != nil && patterns(t).test(x.Body())
}

// metadataTerm wants a metadata key to have one of the patterns as a value.
type metadataTerm struct {
	name     string
	patterns patterns
}

func (t metadataTerm) match(_ *loomv1.CallSummary, x Extra) bool {
	return x.Metadata != nil && slices.ContainsFunc(x.Metadata(t.name), t.patterns.test)
}
