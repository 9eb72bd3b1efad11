package filter

import (
	"testing"

	loomv1 "loom/api/loom/v1"
)

func TestMatch(t *testing.T) {
	row := &loomv1.CallSummary{Path: "/acme.users.v1.Users/GetUser", Route: "Users", Backend: "users-1", Peer: "[::1]:5"}
	for text, want := range map[string]bool{
		"": true, "getuser": true, "nobody": false, "service:Users": true, "method:Get*": true, "method:Get": false,
		"route:a,users -upstream:*2": true, "-(route:users OR x)": false, "x OR backend:users-1": true,
		`peer:"[::1]:5"`: true, "md.a:b": false, "-body:x": true, `"OR"`: false,
	} {
		f, err := Parse(text)
		if err != nil {
			t.Errorf("Parse(%q): %v", text, err)
		} else if got := f.Match(row, Extra{}); got != want {
			t.Errorf("%q matches: %t, want %t", text, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"a", "(", ")", "-", "md.:x", "route:,", `"a`, "a OR", "OR", "route:a,(b)"} {
		if _, err := Parse(text); text != "a" && err == nil {
			f.Errorf("Parse(%q) finds nothing wrong", text)
		}
		f.Add(text)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		if got, err := Parse(text); err == nil {
			got.Match(&loomv1.CallSummary{Path: text}, Extra{})
		}
	})
}
