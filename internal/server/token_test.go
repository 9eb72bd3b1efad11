package server

import (
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

const withInspector = guardedBackend + "inspector: {address: \"127.0.0.1:0\"}\n"

func tokenOf(r *running) string {
	_, token, _ := strings.Cut(r.InspectorURL(), "token=")
	return token
}

// The token that one process made opens the inspector of the next one, and of
// that after it, too.
func TestTokenGoesOn(t *testing.T) {
	first := serve(t, withInspector)
	second := first.heir()
	third := second.heir()
	want := tokenOf(first)
	if len(want) < minToken {
		t.Fatalf("the token is %q", want)
	}
	for _, r := range []*running{second, third} {
		if got := tokenOf(r); got != want {
			t.Errorf("the token is %q, want %q", got, want)
		}
	}
}

// A token that is in a file is not handed on: the file decides.
func TestTokenOfAFile(t *testing.T) {
	file := write(t, t.TempDir(), "token", []byte("a-token-of-this-test"))
	first := serve(t, guardedBackend+"inspector: {address: \"127.0.0.1:0\", token_file: "+file+"}\n")
	if token := saveAll(t, first.Server)[tokenSection]; len(token.Data) > 0 {
		t.Errorf("%q is handed on", token.Data)
	}
	if got := tokenOf(first); got != "a-token-of-this-test" {
		t.Errorf("the token is %q", got)
	}
}

// What cannot be a token is not used, and said once.
func TestWrongTokens(t *testing.T) {
	for name, saved := range map[string]Saved{
		"newer":    {Version: tokenVersion + 1, Data: []byte("aaaaaaaaaaaaaaaaaaaaaaaa")},
		"short":    {Version: tokenVersion, Data: []byte("short")},
		"long":     {Version: tokenVersion, Data: []byte(strings.Repeat("a", maxToken+1))},
		"a line":   {Version: tokenVersion, Data: []byte("aaaaaaaaaaaaaaaaaaaaaaa\n")},
		"no ASCII": {Version: tokenVersion, Data: []byte("aaaaaaaaaaaaaaaaaaaaaaa\xff")},
	} {
		t.Run(name, func(t *testing.T) {
			first := serve(t, withInspector)
			left := saveAll(t, first.Server)
			left[tokenSection] = saved
			core, log := observer.New(zap.DebugLevel)
			s, err := New(first.cfg, Options{Log: zap.New(core), Estate: once(left)})
			if err != nil {
				t.Fatal(err)
			}
			if got := tokenOf(run(t, s, log)); len(got) < minToken || got == string(saved.Data) {
				t.Errorf("the token is %q", got)
			}
			if n := log.FilterMessageSnippet("not taken over").Len(); n != 1 {
				t.Errorf("it is said %d times", n)
			}
		})
	}
}

// once is a legacy each of whose sections can be had once, as from an heir.
type once legacy

func (s once) Section(name string) (Saved, bool) {
	x, ok := s[name]
	delete(s, name)
	return x, ok
}
