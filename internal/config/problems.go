package config

import (
	"cmp"
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"
)

// A file that is not loom.yaml at all would give a mistake for every line.
const (
	maxCollected = 10_000 // bounds memory; beyond it, mistakes are only counted
	maxShown     = 100    // nobody reads more of them
)

// problems collects mistakes while a file is read.
type problems struct {
	doc     *document
	list    []*Error
	dropped int
	seen    map[problemKey]bool
}

// problemKey tells mistakes apart: an alias brings the same text several times.
type problemKey struct {
	line, column int
	msg          string
}

// add records a mistake at a place of the file.
func (p *problems) add(line, column int, msg, hint string) {
	line = min(max(line, 1), len(p.doc.lines))
	source := p.doc.lines[line-1]
	column = min(max(column, 1), p.doc.width(line)+1)
	key := problemKey{line, column, msg}
	if p.seen[key] {
		return
	}
	if len(p.list) == maxCollected {
		p.dropped++
		return
	}
	if p.seen == nil {
		p.seen = map[problemKey]bool{}
	}
	p.seen[key] = true
	p.list = append(p.list, &Error{File: p.doc.name, Line: line, Column: column, Msg: msg, Hint: hint, SourceLine: source})
}

// at records a mistake at a node.
func (p *problems) at(n *yaml.Node, hint, format string, args ...any) {
	p.add(n.Line, n.Column, fmt.Sprintf(format, args...), hint)
}

// sorted returns the mistakes in the order of the file, the first maxShown of
// them, and then a word about the rest.
func (p *problems) sorted() []*Error {
	slices.SortStableFunc(p.list, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if len(p.list) <= maxShown {
		return p.list
	}
	next := *p.list[maxShown]
	next.Msg = fmt.Sprintf("and %d further mistakes from here on", len(p.list)-maxShown+p.dropped)
	next.Hint = ""
	return append(p.list[:maxShown:maxShown], &next)
}

// maxSuggestions bounds the work on hints: looking for the closest name costs
// far more than finding the mistake.
const maxSuggestions = 200

// suggest is the function of that name, until there are enough mistakes.
func (p *problems) suggest(word string, known []string) string {
	if len(p.list) >= maxSuggestions {
		return ""
	}
	return suggest(word, known)
}
