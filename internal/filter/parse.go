package filter

import (
	"strings"
	"unicode/utf8"
)

// Limits of a filter's text: far above what a person writes, and low enough
// that judging ten thousand calls stays quick.
const (
	maxLength = 4096 // bytes
	maxValues = 256
	maxDepth  = 32 // of parentheses
)

// Parse returns the filter that text describes; an empty text wants every
// call. The error is a *SyntaxError.
func Parse(text string) (*Filter, error) {
	if len(text) > maxLength {
		return nil, &SyntaxError{Offset: maxLength, Message: "the filter is longer than 4096 bytes"}
	}
	if !utf8.ValidString(text) {
		return nil, &SyntaxError{Message: "the filter is not UTF-8"}
	}
	p := &parser{text: text}
	p.space()
	if p.at == len(text) {
		return &Filter{source: text, root: all(nil)}, nil
	}
	root, err := p.either(0)
	if err == nil && p.at < len(text) {
		err = p.fail(p.at, "nothing is open that this parenthesis could close", "quote it")
	}
	if err != nil {
		return nil, err
	}
	return &Filter{source: text, root: root, needs: p.needs}, nil
}

// parser goes through a text once.
type parser struct {
	text   string
	at     int
	values int
	needs  Needs
}

func (p *parser) fail(at int, message, hint string) error {
	return &SyntaxError{Offset: at, Message: message, Hint: hint}
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// or reports whether the word OR comes next.
func (p *parser) or() bool {
	rest := p.text[p.at:]
	return strings.HasPrefix(rest, "OR") && (len(rest) == 2 || strings.IndexByte(" \t\r\n()", rest[2]) >= 0)
}

func (p *parser) either(depth int) (node, error) {
	if depth > maxDepth {
		return nil, p.fail(p.at, "parentheses are nested more than 32 deep", "")
	}
	var parts either
	for {
		var together all
		for p.space(); p.at < len(p.text) && p.text[p.at] != ')' && !p.or(); p.space() {
			n, err := p.one(depth)
			if err != nil {
				return nil, err
			}
			together = append(together, n)
		}
		if len(together) == 0 {
			return nil, p.fail(p.at, "a term is missing here", "OR and parentheses need terms; quote them to search for them")
		}
		parts = append(parts, together)
		if p.at >= len(p.text) || !p.or() {
			return parts, nil
		}
		p.at += len("OR")
	}
}

func (p *parser) one(depth int) (node, error) {
	if p.text[p.at] == '-' {
		p.at++
		if p.at == len(p.text) || strings.IndexByte("- \t\r\n)", p.text[p.at]) >= 0 {
			return nil, p.fail(p.at, "a term is missing after -", "")
		}
		n, err := p.one(depth)
		return not{n}, err
	}
	if p.text[p.at] != '(' {
		return p.term()
	}
	open := p.at
	p.at++
	n, err := p.either(depth + 1)
	if err != nil {
		return nil, err
	}
	if p.at == len(p.text) {
		return nil, p.fail(open, "the parenthesis is not closed", "add )")
	}
	p.at++
	return n, nil
}

// value reads one value: its literal parts between the stars.
func (p *parser) value() ([]string, error) {
	begin := p.at
	if p.values++; p.values > maxValues {
		return nil, p.fail(begin, "the filter has more than 256 values", "")
	}
	parts, quoted := []string{""}, -1
	for ; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch {
		case c == '"' && quoted < 0:
			quoted = p.at
			continue
		case c == '"':
			quoted = -1
			continue
		case quoted < 0 && strings.IndexByte(" \t\r\n(),", c) >= 0:
			if p.at == begin {
				return nil, p.fail(begin, "a value is missing here", "")
			}
			return parts, nil
		case quoted < 0 && c == '*':
			parts = append(parts, "")
			continue
		case quoted >= 0 && c == '\\' && p.at+1 < len(p.text):
			p.at++
			c = p.text[p.at]
		}
		parts[len(parts)-1] += string([]byte{lower(c)})
	}
	if quoted >= 0 {
		return nil, p.fail(quoted, "the quote is not closed", `add "`)
	}
	if p.at == begin {
		return nil, p.fail(begin, "a value is missing here", "")
	}
	return parts, nil
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
