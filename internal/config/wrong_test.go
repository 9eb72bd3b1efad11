package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the expected output of tests instead of comparing")

// environment is what the files of this package's tests may ask for.
func environment(name string) (string, bool) {
	value, ok := map[string]string{
		"HOST":    "users.internal",
		"PORT":    "9999",
		"EMPTY":   "",
		"WORD":    "word",
		"NUMBER":  "7",
		"SECONDS": "7s",
		"YAML":    "{connections: 5}",
		"BALANCE": "ring_hash",
	}[name]
	return value, ok
}

// golden compares got with a file, or writes the file with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (run the test with -update once)", err)
	}
	wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range max(len(wantLines), len(gotLines)) {
		if i >= len(wantLines) || i >= len(gotLines) || wantLines[i] != gotLines[i] {
			t.Fatalf("%s differs from line %d on (-update takes it over): got\n%s\nwant\n%s", file, i+1, few(gotLines, i), few(wantLines, i))
		}
	}
}

// few returns some lines from a place on.
func few(lines []string, from int) string {
	from = min(from, len(lines))
	return strings.Join(lines[from:min(from+4, len(lines))], "\n")
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return found
}

// TestWrongFiles reads files with mistakes; what loomd says about each stands
// beside it.
func TestWrongFiles(t *testing.T) {
	found := files(t, "testdata/wrong/*.yaml")
	if len(found) < 60 {
		t.Errorf("only %d files: some are lost", len(found))
	}
	for _, file := range found {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, warnings, err := Parse(filepath.Base(file), src, environment)
			if cfg != nil {
				t.Error("there is a Config in spite of mistakes")
			}
			var list Errors
			if !errors.As(err, &list) || len(list) == 0 {
				t.Fatalf("got error %v, want a list of mistakes", err)
			}
			checkPlaces(t, src, list)
			got := list.Error() + "\n"
			if len(warnings) > 0 {
				got += "\nwarnings:\n" + warnings.String() + "\n"
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".want", got)
		})
	}
}

// checkPlaces wants every mistake inside of the file and all in its order.
func checkPlaces(t *testing.T, src []byte, list []*Error) {
	t.Helper()
	lines := strings.Split(string(src), "\n")
	line, column := 0, 0
	for _, e := range list {
		if e.Line < line || e.Line == line && e.Column < column {
			t.Errorf("%v: comes after line %d, column %d", e, line, column)
		}
		line, column = e.Line, e.Column
		if line < 1 || line > len(lines) || column < 1 || column > len([]rune(lines[line-1]))+1 {
			t.Errorf("%v: is outside of the file", e)
		}
	}
}
