package config

import (
	"math"
	"testing"
	"time"
)

func TestDurationText(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0s", "0s": "0s", "5s": "5s", "60s": "1m", "90s": "1m30s", "3600s": "1h", "1h30m": "1h30m", "1h0m5s": "1h0m5s",
		"1.5s": "1.5s", "300ms": "300ms", "250us": "250µs", "24h": "24h", "10m": "10m", "100m": "1h40m", "10h": "10h",
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != want {
			t.Errorf("%s: got %s and error %v, want %s", text, d, err, want)
		}
		var again Duration
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%s does not read back: %v, %v", d, again, err)
		}
	}
	for _, text := range []string{"", "5", "-5s", "5 s", "s", "1d", "99999999h", "5S", "１s", "1e3s"} {
		d := Duration(time.Second)
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %s", text, d)
		}
		if d != Duration(time.Second) {
			t.Errorf("%q is refused and yet changes the value", text)
		}
	}
}

func TestSizeText(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "0B": 0, "0GiB": 0, "1B": 1, "512B": 512, "1024B": 1 << 10, "64KiB": 64 << 10, "4MiB": 4 << 20, "1GiB": 1 << 30,
		"8589934591GiB": 8589934591 << 30,
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: got %d and error %v, want %d", text, s, err, want)
		}
		var again Size
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Errorf("%s does not read back: %v, %v", s, again, err)
		}
	}
	for _, text := range []string{"", "B", "5", "-5B", "5 KiB", "5KB", "5k", "5kib", "1.5KiB", "8589934592GiB", "9999999999999999999B", "KiB5", "5KiBKiB", "5T"} {
		s := Size(7)
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %s", text, s)
		}
		if s != 7 {
			t.Errorf("%q is refused and yet changes the value", text)
		}
	}
	if got := Size(math.MaxInt64).String(); got != "9223372036854775807B" {
		t.Errorf("the largest size is %s", got)
	}
}

func TestCodeText(t *testing.T) {
	// From the list of status codes that gRPC documents.
	for name, number := range map[string]Code{
		"CANCELLED": 1, "UNKNOWN": 2, "INVALID_ARGUMENT": 3, "DEADLINE_EXCEEDED": 4, "NOT_FOUND": 5, "ALREADY_EXISTS": 6,
		"PERMISSION_DENIED": 7, "RESOURCE_EXHAUSTED": 8, "FAILED_PRECONDITION": 9, "ABORTED": 10, "OUT_OF_RANGE": 11,
		"UNIMPLEMENTED": 12, "INTERNAL": 13, "UNAVAILABLE": 14, "DATA_LOSS": 15, "UNAUTHENTICATED": 16,
	} {
		var c Code
		if err := c.UnmarshalText([]byte(name)); err != nil || c != number || c.String() != name {
			t.Errorf("%s: got %d, %s and error %v", name, c, c, err)
		}
	}
	for code, want := range map[Code]string{0: "", 17: "17"} {
		if got := code.String(); got != want {
			t.Errorf("code %d is shown as %q", code, got)
		}
	}
}

func TestFileModeText(t *testing.T) {
	for text, want := range map[string]FileMode{"0660": 0o660, "660": 0o660, "0o660": 0o660, "000": 0, "0777": 0o777} {
		var m FileMode
		if err := m.UnmarshalText([]byte(text)); err != nil || m != want {
			t.Errorf("%s: got %s and error %v", text, m, err)
		}
	}
	for _, text := range []string{"", "0", "66", "00660", "1777", "0888", "+66", "-660", "rw-"} {
		var m FileMode
		if err := m.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %s", text, m)
		}
	}
}

func TestCaret(t *testing.T) {
	for name, test := range map[string]struct {
		e    Error
		want string
	}{
		"flag":          {Error{File: "-listen", Msg: "bad"}, "-listen: bad"},
		"hint":          {Error{File: "-listen", Msg: "bad", Hint: "do better"}, "-listen: bad (do better)"},
		"empty line":    {Error{File: "f", Line: 1, Column: 1, Msg: "bad"}, "f:1:1: bad"},
		"tab":           {Error{File: "f", Line: 1, Column: 3, Msg: "bad", SourceLine: "\ta b"}, "f:1:3: bad\n  1 | \ta b\n    | \t ^"},
		"line end":      {Error{File: "f", Line: 12, Column: 4, Msg: "bad", SourceLine: "abc  "}, "f:12:4: bad\n  12 | abc\n     |    ^"},
		"beyond spaces": {Error{File: "f", Line: 1, Column: 6, Msg: "bad", SourceLine: "abc  "}, "f:1:6: bad\n  1 | abc\n    |      ^"},
		"accent":        {Error{File: "f", Line: 1, Column: 3, Msg: "bad", SourceLine: "éà:"}, "f:1:3: bad\n  1 | éà:\n    |   ^"},
	} {
		if got := test.e.Text(); got != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, test.want)
		}
	}
}

func TestSuggestions(t *testing.T) {
	known := []string{"name", "address", "mode", "tls", "max_connection_age"}
	for word, want := range map[string]string{
		"adddress": "address", "Address": "address", "addr": "address", "mod": "mode", "maxConnectionAge": "max_connection_age",
		"tsl": "tls", "colour": "", "": "", "x": "", "é": "",
	} {
		if got := closest(word, known); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}
