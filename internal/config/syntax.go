package config

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	yamlLine   = regexp.MustCompile(`^yaml: line (\d+): (.*)`)
	yamlAnchor = regexp.MustCompile(`^yaml: unknown anchor '(.*)' referenced`)
)

// explain turns an error of the YAML parser, which may lack a position or a
// clear word, into a mistake.
func (d *document) explain(p *problems, err error) {
	if second, ok := errors.AsType[*secondDocumentError](err); ok {
		p.add(second.line, second.column, "a second YAML document begins here", "loom.yaml is a single one; take out the --- line")
		return
	}
	text := err.Error()
	if m := yamlAnchor.FindStringSubmatch(text); m != nil {
		line, column := d.find("*" + m[1])
		p.add(line, column, "alias *"+m[1]+" stands for nothing", "define it before with &"+m[1])
		return
	}
	line := 1
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		text = "yaml: " + m[2]
	}
	line = min(max(line, 1), len(d.lines))
	// The parser counts the line before or after the tab, and speaks of
	// tokens.
	for n := max(line-1, 1); n <= min(line+1, len(d.lines)); n++ {
		if column := indentTab(d.lines[n-1]); column > 0 {
			p.add(n, column, "a tab cannot indent YAML", "use spaces")
			return
		}
	}
	if strings.Contains(text, "did not find expected key") || strings.Contains(text, "'-' indicator") {
		// The parser counts the line that the block begins on.
		line = d.misaligned(line)
	}
	msg, hint := plainSyntax(strings.TrimPrefix(text, "yaml: "))
	p.add(line, d.textColumn(line), msg, hint)
}

// plainSyntax says what the parser means, where that is known.
func plainSyntax(text string) (msg, hint string) {
	switch {
	case strings.Contains(text, "mapping values are not allowed"):
		return "no colon is expected here", "is one missing on the line above, is the indentation right, or does a text with a colon need quotes?"
	case strings.Contains(text, "did not find expected key"), strings.Contains(text, "did not find expected '-' indicator"):
		return "the indentation does not fit the lines above", "keys of one block begin in the same column"
	case strings.Contains(text, "could not find expected ':'"):
		return "a key without a colon", "write key: value"
	case strings.Contains(text, "did not find expected ',' or"):
		return "a bracket or brace is not closed, or a comma is missing", ""
	case strings.Contains(text, "unexpected end of stream"):
		return "a quote is not closed", ""
	case strings.Contains(text, "cannot start any token"):
		return "a text cannot begin with this character", "put it in quotes"
	case strings.Contains(text, "exceeded max depth"):
		return "the file is nested too deeply", ""
	case strings.Contains(text, "unknown escape character"):
		return "unknown escape in a text in double quotes", "write it in single quotes, or double the backslash"
	}
	return "not valid YAML: " + text, ""
}

// indentTab returns the column of a tab in the indentation of a line that has
// more than white space, or 0.
func indentTab(line string) int {
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	if len(indent) == len(line) {
		return 0
	}
	return strings.IndexByte(indent, '\t') + 1
}

// misaligned returns the first line from line on that goes back to a column
// in which nothing above it began, or line if there is none.
func (d *document) misaligned(line int) int {
	var columns []int
	for n := line; n <= len(d.lines); n++ {
		text := strings.TrimLeft(d.lines[n-1], " ")
		if text == "" || text[0] == '#' {
			continue
		}
		column := len(d.lines[n-1]) - len(text)
		back := false
		for len(columns) > 0 && columns[len(columns)-1] > column {
			columns, back = columns[:len(columns)-1], true
		}
		if back && (len(columns) == 0 || columns[len(columns)-1] < column) {
			return n
		}
		columns = append(columns, column)
		// What follows the dash of a list begins a column, too.
		for rest, ok := strings.CutPrefix(text, "- "); ok; rest, ok = strings.CutPrefix(rest, "- ") {
			rest = strings.TrimLeft(rest, " ")
			columns = append(columns, len(d.lines[n-1])-len(rest))
		}
	}
	return line
}

// textColumn returns where the text of a line begins.
func (d *document) textColumn(line int) int {
	text := d.lines[line-1]
	return len(text) - len(strings.TrimLeft(text, " \t")) + 1
}

// find returns the place where a word stands for the first time outside of
// comments, or the beginning of the file.
func (d *document) find(word string) (line, column int) {
	for i, text := range d.lines {
		at := strings.Index(text, word)
		if at >= 0 && !strings.HasPrefix(strings.TrimSpace(text), "#") {
			return i + 1, utf8.RuneCountInString(text[:at]) + 1
		}
	}
	return 1, 1
}
