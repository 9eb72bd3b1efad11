package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// FuzzParse reads anything at all: it must come to an end, give either a
// configuration or mistakes, and every mistake must lie inside of the file.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/right/*.yaml", "testdata/doubtful/*.yaml", "testdata/wrong/*.yaml", examples + "*.yaml"} {
		for _, file := range seedFiles(f, pattern) {
			f.Add(file)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		cfg, warnings, err := Parse("fuzz.yaml", src, environment)
		checkPlaces(t, src, warnings)
		if err == nil {
			checkParsed(t, src, cfg)
			return
		}
		var list Errors
		if cfg != nil || len(warnings) > 0 || !errors.As(err, &list) || len(list) == 0 || len(list) > maxShown+1 {
			t.Fatalf("got configuration %v, %d warnings and error %v", cfg != nil, len(warnings), err)
		}
		checkPlaces(t, src, list)
		if i := strings.IndexFunc(err.Error(), func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }); i >= 0 {
			t.Errorf("the error has a control character: %q", err.Error())
		}
	})
}

// checkParsed holds a configuration to what its users rely on.
func checkParsed(t *testing.T, src []byte, cfg *Config) {
	t.Helper()
	if len(cfg.Listeners) == 0 || len(cfg.Backends) == 0 || len(cfg.Routes) == 0 {
		t.Errorf("something is missing: %+v", cfg)
	}
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		if (r.Deny == 0) != (len(r.Split()) > 0) {
			t.Errorf("route %s neither forwards nor denies, or both", r.Name)
		}
		for _, w := range r.Split() {
			if cfg.Backend(w.Name) == nil {
				t.Errorf("route %s leads to backend %s, which there is not", r.Name, w.Name)
			}
		}
	}
	again, _, err := Parse("fuzz.yaml", src, environment)
	if err != nil {
		t.Fatalf("right once and wrong then: %v", err)
	}
	if c := Diff(cfg, again); !c.Empty() {
		t.Errorf("differs from itself: %v", c)
	}
}

func seedFiles(f *testing.F, pattern string) [][]byte {
	f.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		f.Fatal(err)
	}
	var out [][]byte
	for _, file := range found {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		// The fuzzer takes minutes to make a long text shorter.
		if len(src) < 8<<10 {
			out = append(out, src)
		}
	}
	return out
}
