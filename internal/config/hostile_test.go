package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long a file may take that wants to keep loomd busy. It is
// far more than needed, for slow machines with the race detector.
const patience = time.Minute

func TestLargeFileIsNotParsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(file, []byte(strings.Repeat("listeners: [\n", 10<<20/13)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := Load(file, environment)
	want := file + ":1:1: the file is larger than 1MiB (is it the right file?)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLargestFile(t *testing.T) {
	var b strings.Builder
	b.WriteString("listeners: [{name: plain, address: \":9999\"}]\nbackends: {users: {targets: [\"localhost:50051\"]}}\nroutes:\n")
	for i := 0; b.Len() < MaxFile-200; i++ {
		fmt.Fprintf(&b, "- {name: route-%d, match: {service: acme.users.v1.Users%d}, backend: users}\n", i, i)
	}
	start := time.Now()
	cfg, _, err := Parse("test.yaml", []byte(b.String()), environment)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > patience {
		t.Errorf("%d routes took %s", len(cfg.Routes), took)
	}
	if len(cfg.Routes) < 10_000 {
		t.Errorf("only %d routes fit into the largest file", len(cfg.Routes))
	}
}

// TestFilesThatWantToKeepLoomdBusy are refused, in good time, with errors that
// are few enough to read.
func TestFilesThatWantToKeepLoomdBusy(t *testing.T) {
	const head = "listeners: [{name: plain, address: \":9999\"}]\n"
	repeat := func(s string) string { return strings.Repeat(s, (MaxFile-1000)/len(s)) }
	var backends, merges, anchors, deep strings.Builder
	for i := range 9000 {
		fmt.Fprintf(&backends, "  backend-number-%d: {targets: *t}\n", i)
		fmt.Fprintf(&merges, "  m%d: {<<: *t}\n", i)
		fmt.Fprintf(&anchors, "  a%d: &a%d {<<: *a%d}\n", i+1, i+1, i)
	}
	for i := range 40 {
		fmt.Fprintf(&deep, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i+1, i+1, i, i, i, i, i, i, i, i)
	}
	for _, test := range []struct{ name, text, want string }{
		{"a billion laughs", "a0: &a0 [lol]\n" + deep.String() + "listeners: *a40\n", "want a mapping, found a list"},
		{"long list by alias", head + "backends:\n  first: {targets: &t [" + lines("\"host-%d:1\", ", 9000) + "]}\n" + backends.String(), "aliases make more than 100000 further values"},
		{"many merges of many keys", head + "backends:\n  first: &t {" + strings.Repeat("x: y, ", 9000) + "}\n" + merges.String(), "is repeated"},
		{"chain of merges", head + "backends:\n  a0: &a0 {targets: [\"localhost:1\"]}\n" + anchors.String() + "routes: []\n", "aliases make more than 100000 further values"},
		{"merges of distinct keys", head + "backends:\n  first: &t {" + distinctKeys(9000) + "}\n" + merges.String(), "aliases make more than 100000 further values"},
		{"open brackets", repeat("["), "nested too deeply"},
		{"open braces", repeat("{a: "), "nested too deeply"},
		{"dashes", repeat("- "), "nested too deeply"},
		{"question marks", repeat("? "), "nested too deeply"},
		{"comments", repeat("#\n") + "a: b\n", "unknown key"},
		{"comments in a list", "listeners:\n" + repeat("- a\n# b\n"), "want a mapping"},
		{"unknown keys", distinctLines(MaxFile - 1000), "unknown key"},
		{"references to nothing", head + "backends:\n" + lines("  b%08d: {targets: [\"localhost:1\"]}\n", 10_000) + "routes:\n" + lines("- {name: r%d, backend: b1%08d}\n", 10_000), "there is no backend"},
		{"one address", "listeners:\n" + lines("- {name: r%d, address: \"10.0.%d.1:99\"}\n", 20_000) + "backends: {}\n", "is neither a host name"},
		{"quotes", repeat("'") + "'", "a quote is not closed"},
		{"anchors", repeat("&a "), ""},
		{"tabs", repeat("\t"), ""},
		{"expansions", head + "log: {level: \"" + repeat("${env:HOST}") + "\"}\n", "at most 4096 are allowed"},
		{"open expansions", head + "log: {level: \"" + repeat("${") + "\"}\n", "no closing brace"},
		{"document markers", repeat("---\n"), "a second YAML document begins here"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if len(test.text) > MaxFile {
				t.Fatalf("the text has %d bytes and would be refused for that", len(test.text))
			}
			start := time.Now()
			_, _, err := Parse("test.yaml", []byte(test.text), environment)
			took := time.Since(start)
			if took > patience {
				t.Errorf("took %s", took)
			}
			t.Logf("%d bytes took %s", len(test.text), took)
			var list Errors
			if !errors.As(err, &list) {
				t.Fatalf("got error %v, want a list of mistakes", err)
			}
			text := err.Error()
			if len(list) > maxShown+1 || len(text) > 100_000 {
				t.Errorf("the error has %d mistakes and %d bytes", len(list), len(text))
			}
			if !strings.Contains(text, test.want) {
				t.Errorf("the error does not contain %q:\n%.600s", test.want, text)
			}
			checkPlaces(t, []byte(test.text), list)
		})
	}
}

// lines repeats a format with the number of the line for each of its verbs.
func lines(format string, n int) string {
	var b strings.Builder
	for i := range n {
		numbers := make([]any, strings.Count(format, "%"))
		for j := range numbers {
			numbers[j] = i
		}
		fmt.Fprintf(&b, format, numbers...)
	}
	return b.String()
}

func distinctKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: v, ", i)
	}
	return b.String()
}

func distinctLines(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "listener%d: x\n", i)
	}
	return b.String()
}

// TestExpansionsAreBounded: aliases must not multiply a long variable.
func TestExpansionsAreBounded(t *testing.T) {
	long := func(string) (string, bool) { return strings.Repeat("x", 64<<10), true }
	var b strings.Builder
	b.WriteString("listeners: [{name: plain, address: \":9999\"}]\nbackends: {users: {targets: [")
	for range 1000 {
		b.WriteString(`"${env:LONG}", `)
	}
	b.WriteString("]}}\nroutes: [{name: all, backend: users}]\n")
	_, _, err := Parse("test.yaml", []byte(b.String()), long)
	if err == nil || !strings.Contains(err.Error(), "environment variables come to more than 4MiB altogether") {
		t.Errorf("got %.300v", err)
	}
}

// TestErrorsDoNotActOnTerminals: what the file or the environment brings must
// not reach a terminal as control characters.
func TestErrorsDoNotActOnTerminals(t *testing.T) {
	env := func(string) (string, bool) { return "\x1b[2J\u009b\r\n", true }
	text := "listeners: [{name: \"\\e[31m\", address: \"${env:X}\"}]\nbackends: {\"\\e]0;\": {targets: [\"${env:X}\"]}}\nroutes: [{name: \"${env:X}\", backend: \"\\u009b\", \"\\e\": 1}]\n"
	_, _, err := Parse("test.yaml", []byte(text), env)
	if err == nil {
		t.Fatal("no error")
	}
	if i := strings.IndexFunc(err.Error(), func(r rune) bool { return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 }); i >= 0 {
		t.Errorf("the error holds %q", err.Error()[i:min(len(err.Error()), i+10)])
	}
}
