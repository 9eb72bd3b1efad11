package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// MaxFile bounds a file: 10,000 routes fit, and so does the memory that the
// node tree takes, some fifty times the size of the file.
const MaxFile = 1 << 20

// document is a file as text and as a tree of nodes.
type document struct {
	name  string
	lines []string
	root  *yaml.Node // nil if the file could not be parsed

	widths map[int]int // of the lines that were asked for: counting a long one takes time
}

// width returns the number of characters of a line.
func (d *document) width(line int) int {
	width, ok := d.widths[line]
	if !ok {
		width = utf8.RuneCountInString(d.lines[line-1])
		d.widths[line] = width
	}
	return width
}

// parseDocument reads the text of a file. What it finds wrong goes to the
// returned problems, and the root is then nil.
func parseDocument(name string, src []byte) (*document, *problems) {
	doc := &document{name: name, lines: []string{""}, widths: map[int]int{}}
	p := &problems{doc: doc}
	if len(src) > MaxFile {
		p.add(1, 1, fmt.Sprintf("the file is larger than %s", Size(MaxFile)), "is it the right file?")
		return doc, p
	}
	doc.lines = strings.Split(string(src), "\n")
	for i, line := range doc.lines {
		doc.lines[i] = strings.ToValidUTF8(strings.TrimSuffix(line, "\r"), "\uFFFD")
	}
	if !doc.checkText(p, src) {
		return doc, p
	}
	root, err := readTree(src)
	switch {
	case errors.Is(err, io.EOF):
		p.add(1, 1, "the file is empty", "a file needs listeners, backends and routes")
	case err != nil:
		doc.explain(p, err)
	default:
		doc.root = root
	}
	return doc, p
}

// checkText finds bytes that YAML has no place for, and those that it takes
// for the end of a line where no editor shows one.
func (d *document) checkText(p *problems, src []byte) bool {
	if bytes.HasPrefix(src, []byte{0xff, 0xfe}) || bytes.HasPrefix(src, []byte{0xfe, 0xff}) {
		p.add(1, 1, "the file is in UTF-16", "save it in UTF-8")
		return false
	}
	line, column := 1, 1
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		msg := ""
		switch {
		case r == utf8.RuneError && size == 1:
			msg = fmt.Sprintf("the file is not valid UTF-8: byte 0x%02x", src[i])
		case r == '\r' && i+1 < len(src) && src[i+1] != '\n', r == 0x85, r == 0x2028, r == 0x2029:
			msg = fmt.Sprintf("the invisible line break U+%04X is not allowed here", r)
		case r < ' ' && r != '\n' && r != '\r' && r != '\t', r >= 0x7f && r < 0xa0, r == 0xfffe, r == 0xffff, r == 0xfeff && i > 0:
			msg = fmt.Sprintf("the control character U+%04X is not allowed here", r)
		}
		if msg != "" {
			p.add(line, column, msg, "")
			return false
		}
		if r == '\n' {
			line, column = line+1, 0
		}
		i += size
		column++
	}
	return true
}

// readTree parses the one document that src must be. It returns io.EOF if
// there is none, and errSecond at a second one.
func readTree(src []byte) (root *yaml.Node, err error) {
	defer func() {
		// The parser panics where its own states contradict each other,
		// which only a strange file can bring about.
		if r := recover(); r != nil {
			root, err = nil, fmt.Errorf("yaml: the parser gave up: %v", r)
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	var first, second yaml.Node
	if err := decoder.Decode(&first); err != nil {
		return nil, err
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, &secondDocumentError{line: second.Line, column: second.Column}
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	if len(first.Content) == 0 || isNull(first.Content[0]) {
		return nil, io.EOF
	}
	return first.Content[0], nil
}

// secondDocumentError is the error for a file with several documents.
type secondDocumentError struct{ line, column int }

func (s *secondDocumentError) Error() string { return "a second document begins here" }

// isNull reports whether a node stands for no value.
func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}
