package main

import (
	"strings"
	"testing"
)

func sample() *table {
	t := &table{columns: []column{{title: "NAME"}, {title: "STATE", tone: stateTone}, {title: "N", right: true}, {title: "NOTE", optional: true}, {title: "MORE", wide: true}}}
	t.add("shop", "ready", "7", "", "x")
	t.add("größe", "open", "1041", "", "y")
	return t
}

func TestTable(t *testing.T) {
	for _, test := range []struct {
		wide bool
		p    painter
		want string
	}{
		{false, painter{}, "NAME   STATE     N\nshop   ready     7\ngröße  open   1041\n"},
		{true, painter{}, "NAME   STATE     N  MORE\nshop   ready     7  x\ngröße  open   1041  y\n"},
		{false, painter{on: true}, strings.Join([]string{
			"\x1b[2mNAME\x1b[0m   \x1b[2mSTATE\x1b[0m     \x1b[2mN\x1b[0m",
			"shop   \x1b[32mready\x1b[0m     7",
			"größe  \x1b[31mopen\x1b[0m   1041\n",
		}, "\n")},
	} {
		if got := sample().text(test.wide, test.p); got != test.want {
			t.Errorf("got\n%q, want\n%q", got, test.want)
		}
	}
	if got, want := sample().tsv(), "shop\tready\t7\t\tx\ngröße\topen\t1041\t\ty\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	noted := sample()
	noted.add("pay", "idle", "0", "down", "z")
	if got := noted.text(false, painter{}); !strings.Contains(got, "N  NOTE\n") || !strings.Contains(got, "0  down\n") {
		t.Errorf("a column that has something is left out:\n%s", got)
	}
	bare := facts()
	bare.add("version", "v1")
	bare.add("pid", "")
	if got, want := bare.text(false, painter{}), "version  v1\npid\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestHostile prints what a stranger wrote: no terminal acts upon it, and no
// value is taken for two.
func TestHostile(t *testing.T) {
	bad := "a\x1b[31m\tb\nc\u202ed\u009b\xff"
	one := table{columns: []column{{title: "X"}, {title: "Y"}}}
	one.add(bad, "end")
	for _, got := range []string{one.tsv(), one.text(false, painter{}), printable(bad)} {
		if strings.ContainsAny(got, "\x1b\u202e\u009b") || !strings.Contains(got, "\uFFFD") {
			t.Errorf("a terminal acts upon %q", got)
		}
	}
	if got := one.tsv(); strings.Count(got, "\t") != 1 || strings.Count(got, "\n") != 1 {
		t.Errorf("a value is more than one: %q", got)
	}
}
