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

// space is what separates terms; these and what is in stops end a value.
const (
	space = " \t\r\n"
	stops = space + "(),"
)

// Parse returns the filter that text describes; an empty text wants every
// call. The error is a *SyntaxError.
func Parse(text string) (*Filter, error) {
	if len(text) > maxLength {
		return nil, &SyntaxError{Offset: maxLength, Message: "the filter is longer than 4096 bytes"}
	}
	if at := invalid(text); at >= 0 {
		return nil, &SyntaxError{Offset: at, Message: "the filter is not UTF-8"}
	}
	p := &parser{text: text}
	p.space()
	if p.at == len(text) {
		return &Filter{root: part{node: all(nil)}}, nil
	}
	root, err := p.either(0)
	if err == nil && p.at < len(text) {
		err = p.fail(p.at, "nothing is open that this parenthesis could close", "quote it")
	}
	if err != nil {
		return nil, err
	}
	return &Filter{root: root, needs: p.needs}, nil
}

// invalid returns where text stops being UTF-8, or -1.
func invalid(text string) int {
	for at, r := range text {
		if r != utf8.RuneError {
			continue
		}
		if _, size := utf8.DecodeRuneInString(text[at:]); size == 1 {
			return at
		}
	}
	return -1
}

// parser goes through a text once.
type parser struct {
	text   string
	at     int
	values int
	needs  Needs
}

func (*parser) fail(at int, message, hint string) error {
	return &SyntaxError{Offset: at, Message: message, Hint: hint}
}

// is reports whether one of the set stands at a place of the text.
func (p *parser) is(set string, at int) bool {
	return at < len(p.text) && strings.IndexByte(set, p.text[at]) >= 0
}

func (p *parser) space() {
	for p.is(space, p.at) {
		p.at++
	}
}

// or reports whether the word OR comes next.
func (p *parser) or() bool {
	end := p.at + len("OR")
	return strings.HasPrefix(p.text[p.at:], "OR") && (end == len(p.text) || p.is(space+"()", end))
}

func (p *parser) either(depth int) (part, error) {
	if depth > maxDepth {
		return part{}, p.fail(p.at, "parentheses are nested more than 32 deep", "")
	}
	var parts []part
	for {
		var together []part
		for p.space(); p.at < len(p.text) && p.text[p.at] != ')' && !p.or(); p.space() {
			n, err := p.one(depth)
			if err != nil {
				return part{}, err
			}
			together = append(together, n)
		}
		if len(together) == 0 {
			return part{}, p.fail(p.at, "a term is missing here", "OR and parentheses need terms; quote them to search for them")
		}
		parts = append(parts, allOf(together))
		if p.at >= len(p.text) || !p.or() {
			return eitherOf(parts), nil
		}
		p.at += len("OR")
	}
}

func (p *parser) one(depth int) (part, error) {
	negated := p.text[p.at] == '-'
	if negated {
		p.at++
		if p.at == len(p.text) || p.is("-)"+space, p.at) {
			return part{}, p.fail(p.at, "a term is missing after -", "")
		}
	}
	read := p.term
	if p.text[p.at] == '(' {
		read = func() (part, error) { return p.group(depth) }
	}
	n, err := read()
	if err == nil && negated {
		n = notOf(n)
	}
	return n, err
}

// group reads what stands in parentheses.
func (p *parser) group(depth int) (part, error) {
	open := p.at
	p.at++
	n, err := p.either(depth + 1)
	if err != nil {
		return part{}, err
	}
	if p.at == len(p.text) {
		return part{}, p.fail(open, "the parenthesis is not closed", "add )")
	}
	p.at++
	return n, nil
}
