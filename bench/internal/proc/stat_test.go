package proc

import "testing"

func TestParseStat(t *testing.T) {
	for name, tc := range map[string]struct {
		line string
		want Stat
	}{
		"plain":            {"4321 (haproxy) S 4300 4321 1 0 -1 4194560\n", Stat{4321, "haproxy", 4300}},
		"spaces in name":   {"7 (tmux: server) S 1 7 7 0\n", Stat{7, "tmux: server", 1}},
		"brackets in name": {"8 (a) S 99 (b)) R 3 8 8 0\n", Stat{8, "a) S 99 (b)", 3}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseStat([]byte(tc.line))
			if err != nil {
				t.Fatal(err)
			}
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestParseStatRefuses(t *testing.T) {
	for _, line := range []string{"", "1", "1 (x", ")1(", "x (y) S 1", "1 (y) S", "1 (y) S z", "1 (y)"} {
		if got, err := ParseStat([]byte(line)); err == nil {
			t.Errorf("%q: got %+v, want an error", line, got)
		}
	}
}

func TestParseRollup(t *testing.T) {
	text := "00400000-7fff ---p 00000000 00:00 0   [rollup]\nRss:                1234 kB\nPss:                 900 kB\n"
	got, err := parseRollup([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(1234 << 10); got != want {
		t.Errorf("got %d bytes, want %d", got, want)
	}
	for _, bad := range []string{"", "Pss: 1 kB\n", "Rss: 1 MB\n", "Rss: x kB\n", "Rss:\n"} {
		if got, err := parseRollup([]byte(bad)); err == nil {
			t.Errorf("%q: got %d, want an error", bad, got)
		}
	}
}
