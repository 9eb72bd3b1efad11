package main

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// column is one of a table. Those that are only for wide tables come last, so
// that a script finds the others in the same place.
type column struct {
	title    string
	right    bool // numbers
	wide     bool // only in wide tables and as tsv
	optional bool // left out of tables while it is empty
	tone     func(value string) tone
}

// table is rows of values. It is printed aligned, or separated by tabs.
type table struct {
	columns []column
	rows    [][]string
	bare    bool // without a header
}

// add appends a row, which has a value for each column.
func (t *table) add(values ...string) {
	row := make([]string, 0, len(t.columns))
	for _, v := range values {
		row = append(row, oneLine(v))
	}
	t.rows = append(t.rows, row)
}

// tsv writes all values, without a header.
func (t *table) tsv() string {
	var b strings.Builder
	for _, row := range t.rows {
		b.WriteString(strings.Join(row, "\t") + "\n")
	}
	return b.String()
}

// text writes the columns aligned.
func (t *table) text(wide bool, p painter) string {
	shown := t.shown(wide)
	width := make([]int, len(t.columns))
	for _, i := range shown {
		if !t.bare {
			width[i] = utf8.RuneCountInString(t.columns[i].title)
		}
		for _, row := range t.rows {
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b strings.Builder
	line := func(value func(i int) string, paint func(i int) tone) {
		pending := 0 // spaces, which no line ends with
		for n, i := range shown {
			text := value(i)
			space := width[i] - utf8.RuneCountInString(text)
			if n > 0 {
				pending += 2
			}
			if t.columns[i].right {
				pending += space
			}
			if text != "" {
				b.WriteString(strings.Repeat(" ", pending) + p.paint(text, paint(i)))
				pending = 0
			}
			if !t.columns[i].right {
				pending += space
			}
		}
		b.WriteByte('\n')
	}
	if !t.bare {
		line(func(i int) string { return t.columns[i].title }, func(int) tone { return dim })
	}
	for _, row := range t.rows {
		line(func(i int) string { return row[i] }, func(i int) tone {
			if of := t.columns[i].tone; of != nil {
				return of(row[i])
			}
			return plain
		})
	}
	return b.String()
}

// shown are the places of the columns that are printed.
func (t *table) shown(wide bool) []int {
	var shown []int
	for i, c := range t.columns {
		if c.wide && !wide || c.optional && t.empty(i) {
			continue
		}
		shown = append(shown, i)
	}
	return shown
}

func (t *table) empty(i int) bool {
	for _, row := range t.rows {
		if row[i] != "" {
			return false
		}
	}
	return true
}

// oneLine is text that may stand in a line with others.
func oneLine(text string) string { return strings.ReplaceAll(printable(text), "\n", " ") }

// printable replaces what a terminal would act upon: what calls hold was
// written by strangers. A line of a longer text stays one.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || r == utf8.RuneError || unicode.Is(unicode.Bidi_Control, r)) {
			return '\uFFFD'
		}
		return r
	}, text)
}
