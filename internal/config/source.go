package config

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// source is where a Config came from: a file, or flags. The validator knows
// only paths such as routes[0].backend; a source turns them into places.
type source interface {
	// given reports whether the path was written, rather than a default.
	given(path string) bool
	// right reports whether the path was written, and nothing is wrong
	// with it so far.
	right(path string) bool
	// where names the place of a path in a hint, such as line 3.
	where(path string) string
	// wrong records a mistake at a path, or at the nearest one above it that
	// was written.
	wrong(path, hint, msg string)
	// doubt records a warning likewise.
	doubt(path, hint, msg string)
	// suggest returns a hint for a word that is none of known.
	suggest(word string, known []string) string
}

// fileSource is a file.
type fileSource struct {
	marks            map[string]mark
	errors, warnings *problems
}

func (s *fileSource) given(path string) bool {
	_, ok := s.marks[path]
	return ok
}

func (s *fileSource) right(path string) bool {
	m, ok := s.marks[path]
	return ok && !m.bad
}

func (s *fileSource) where(path string) string {
	return fmt.Sprintf("line %d", s.node(path).Line)
}

func (s *fileSource) wrong(path, hint, msg string) { s.errors.at(s.node(path), hint, "%s", msg) }

func (s *fileSource) doubt(path, hint, msg string) { s.warnings.at(s.node(path), hint, "%s", msg) }

func (s *fileSource) suggest(word string, known []string) string {
	return s.errors.suggest(word, known)
}

// node returns what to point at for a path: a value that is one word, or the
// key of a value that spans lines.
func (s *fileSource) node(path string) *yaml.Node {
	for {
		m, ok := s.marks[path]
		switch {
		case ok && m.key != nil && m.value.Kind != yaml.ScalarNode && m.value.Kind != yaml.AliasNode:
			return m.key
		case ok:
			return m.value
		}
		path = parent(path)
	}
}

// parent takes the last step off a path.
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// flagSource is the flags of a loomd without a file.
type flagSource struct{ errors Errors }

func (*flagSource) given(string) bool { return true }

func (*flagSource) right(string) bool { return true }

func (s *flagSource) where(path string) string { return s.flag(path) }

func (s *flagSource) wrong(path, hint, msg string) {
	s.errors = append(s.errors, &Error{File: s.flag(path), Msg: msg, Hint: hint})
}

// doubt drops warnings: they are about files.
func (*flagSource) doubt(string, string, string) {}

func (*flagSource) suggest(string, []string) string { return "" }

func (*flagSource) flag(path string) string {
	switch {
	case strings.HasPrefix(path, "backends"):
		return "-backend"
	case strings.HasPrefix(path, "inspector"):
		return "-inspector"
	case strings.HasPrefix(path, "metrics"):
		return "-metrics"
	default:
		return "-listen"
	}
}
