// Package report writes what the bench found: Markdown tables that can be read
// as plain text too.
package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// table is a Markdown table. The first columns hold words and go to the left,
// the others hold figures and go to the right.
type table struct {
	words  int // number of columns of words
	header []string
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// dropEmpty removes the columns of figures in which nothing is known.
func (t *table) dropEmpty() {
	for i := len(t.header) - 1; i >= t.words; i-- {
		if slices.ContainsFunc(t.rows, func(r []string) bool { return r[i] != none }) {
			continue
		}
		t.header = slices.Delete(t.header, i, i+1)
		for j, r := range t.rows {
			t.rows[j] = slices.Delete(r, i, i+1)
		}
	}
}

func (t *table) write(w io.Writer) error {
	width := make([]int, len(t.header))
	for _, r := range append([][]string{t.header}, t.rows...) {
		for i, cell := range r {
			width[i] = max(width[i], utf8.RuneCountInString(cell), 3)
		}
	}
	var b strings.Builder
	t.line(&b, t.header, width)
	for i, n := range width {
		if i < t.words {
			fmt.Fprintf(&b, "| %s ", strings.Repeat("-", n))
		} else {
			fmt.Fprintf(&b, "| %s: ", strings.Repeat("-", n-1))
		}
	}
	b.WriteString("|\n")
	for _, r := range t.rows {
		t.line(&b, r, width)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *table) line(b *strings.Builder, cells []string, width []int) {
	for i, cell := range cells {
		pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
		if i < t.words {
			fmt.Fprintf(b, "| %s%s ", cell, pad)
		} else {
			fmt.Fprintf(b, "| %s%s ", pad, cell)
		}
	}
	b.WriteString("|\n")
}
