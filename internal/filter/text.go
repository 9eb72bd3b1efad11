package filter

import (
	"bytes"
	"strings"
)

// textRoom is how many bytes of a text are compared without allocating: more
// than paths, names and addresses have.
const textRoom = 256

// patterns are values to look for: each the folded literal texts between its
// stars.
type patterns [][][]byte

// newPatterns folds the values. Within makes them stand anywhere in a text.
func newPatterns(values []value, within bool) patterns {
	made := make(patterns, len(values))
	for i, v := range values {
		parts := v.parts
		if within {
			parts = append(append([]string{""}, parts...), "")
		}
		for _, text := range parts {
			made[i] = append(made[i], []byte(fold(text)))
		}
	}
	return made
}

// test reports whether text is one of the patterns.
func (p patterns) test(text string) bool {
	var room [textRoom]byte
	folded := append(room[:0], text...)
	for i, c := range folded {
		folded[i] = lower(c)
	}
	for _, parts := range p {
		if glob(parts, folded) {
			return true
		}
	}
	return false
}

// glob reports whether text is the parts with anything between them.
func glob(parts [][]byte, text []byte) bool {
	last := len(parts) - 1
	if last == 0 {
		return bytes.Equal(text, parts[0])
	}
	rest, ok := bytes.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1:last] {
		at := bytes.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return bytes.HasSuffix(rest, parts[last])
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

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// squeeze leaves out what separates the words of a name.
func squeeze(word string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(word)
}
