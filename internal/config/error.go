package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error is one mistake, and where it is.
type Error struct {
	// File is the name that the file was given, or the flag that the value
	// came from.
	File string
	// Line and Column count from 1, columns in characters. Both are 0 if
	// the mistake is not in a file.
	Line, Column int
	// Msg says what is wrong. It has no position and no final period.
	Msg string
	// Hint says how to mend it, or is empty.
	Hint string
	// SourceLine is the line of the file, without its end.
	SourceLine string
}

// Error returns the position and what is wrong, on one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	b.WriteString(printable(e.Msg))
	if e.Hint != "" {
		b.WriteString(" (")
		b.WriteString(printable(e.Hint))
		b.WriteString(")")
	}
	return b.String()
}

// Text returns what Error does, followed by the line of the file with a caret
// below the place, if there is one.
func (e *Error) Text() string {
	if e.Line == 0 || strings.TrimSpace(e.SourceLine) == "" {
		return e.Error()
	}
	number := strconv.Itoa(e.Line)
	source, before := e.window()
	return fmt.Sprintf("%s\n  %s | %s\n  %s | %s^", e.Error(), number, source, strings.Repeat(" ", len(number)), before)
}

// sourceWidth is how many characters of a source line are shown: what fits
// beside the line number on most screens.
const sourceWidth = 120

// window returns the part of the source line around the column, and what to
// put before the caret so that it stands below the column. A tab stays a tab.
func (e *Error) window() (source, before string) {
	line := []rune(strings.TrimRightFunc(e.SourceLine, unicode.IsSpace))
	at := max(0, e.Column-1)
	start, end := 0, len(line)
	cutLeft, cutRight := "", ""
	if at > sourceWidth*3/4 {
		start, cutLeft = min(at-sourceWidth/2, len(line)), "..."
	}
	if end-start > sourceWidth {
		end, cutRight = start+sourceWidth, "..."
	}
	pad := []rune(cutLeft)
	for i := start; i < at; i++ {
		pad = append(pad, ' ')
		if i < len(line) && line[i] == '\t' {
			pad[len(pad)-1] = '\t'
		}
	}
	for i := range cutLeft {
		pad[i] = ' '
	}
	return cutLeft + printable(string(line[start:end])) + cutRight, string(pad)
}

// printable replaces what a terminal would act upon.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (unicode.IsControl(r) || r == utf8.RuneError) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// Errors are all the mistakes of a file, in its order.
type Errors []*Error

// Error returns the Text of every mistake, each on lines of its own.
func (e Errors) Error() string { return texts(e) }

// Warnings are things that are allowed and yet hardly meant, in the order of
// the file.
type Warnings []*Error

// String returns the Text of every warning, each on lines of its own.
func (w Warnings) String() string { return texts(w) }

func texts(list []*Error) string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = e.Text()
	}
	return strings.Join(out, "\n")
}

// mistake is what a form or a parser of a text finds wrong with it; whoever
// knows the position makes an Error of it.
type mistake struct{ msg, hint string }

func (m *mistake) Error() string {
	if m.hint == "" {
		return m.msg
	}
	return m.msg + " (" + m.hint + ")"
}

// wrong returns a mistake without a hint.
func wrong(format string, args ...any) error {
	return &mistake{msg: fmt.Sprintf(format, args...)}
}

// quoteWidth bounds how much of a text an error repeats, in characters.
const quoteWidth = 60

// quote puts a text of the file into an error: in quotes, and not too long.
func quote(s string) string {
	if utf8.RuneCountInString(s) > quoteWidth {
		s = string([]rune(s)[:quoteWidth]) + "..."
	}
	return strconv.Quote(s)
}
