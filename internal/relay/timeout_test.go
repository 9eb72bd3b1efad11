package relay

import (
	"math/big"
	"testing"
	"time"
)

func TestParseTimeout(t *testing.T) {
	const longest = time.Duration(1<<63 - 1)
	for text, want := range map[string]time.Duration{
		"0n": 0, "1n": 1, "20u": 20 * time.Microsecond, "300m": 300 * time.Millisecond,
		"5S": 5 * time.Second, "2M": 2 * time.Minute, "1H": time.Hour, "00000001S": time.Second,
		"99999999S": 99999999 * time.Second, "99999999H": longest, "2562047H": 2562047 * time.Hour, "2562048H": longest,
	} {
		if d, ok := parseTimeout(text); !ok || d != want {
			t.Errorf("%q is %v, %v; want %v", text, d, ok, want)
		}
	}
	for _, text := range []string{"", "S", "1", "1s", "1h", "-1S", "+1S", "1.5S", " 1S", "1S ", "123456789S", "1SS", "１S"} {
		if d, ok := parseTimeout(text); ok {
			t.Errorf("%q is taken for %v", text, d)
		}
	}
}

// FuzzParseTimeout compares with what the grammar says, in numbers of any size.
func FuzzParseTimeout(f *testing.F) {
	for _, s := range []string{"1S", "99999999H", "0n", "12x", "-1m", "123456789u"} {
		f.Add(s)
	}
	units := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second,
		'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}
	f.Fuzz(func(t *testing.T, s string) {
		want, wantOK := time.Duration(0), false
		if n := len(s); n >= 2 && n <= 9 && units[s[n-1]] != 0 {
			wantOK = true
			for _, c := range s[:n-1] {
				wantOK = wantOK && '0' <= c && c <= '9'
			}
			if v, ok := new(big.Int).SetString(s[:n-1], 10); wantOK && ok {
				v.Mul(v, big.NewInt(int64(units[s[n-1]])))
				want = time.Duration(1<<63 - 1)
				if v.IsInt64() {
					want = time.Duration(v.Int64())
				}
			}
		}
		got, ok := parseTimeout(s)
		if ok != wantOK || ok && got != want {
			t.Errorf("%q is %v, %v; want %v, %v", s, got, ok, want, wantOK)
		}
	})
}

// What is passed on never lengthens the time, and loses little of it.
func TestFormatTimeout(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "1n", 0: "1n", 1: "1n", 99_999_999: "99999999n", 100 * time.Millisecond: "100000u",
		99*time.Second + 999*time.Millisecond + 999*time.Microsecond + 999: "99999999u",
		100 * time.Second: "100000m", 99_999_999 * time.Millisecond: "99999999m",
		100_000_000 * time.Millisecond: "100000S", 1<<63 - 1: "2562047H",
	} {
		if got := formatTimeout(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}

func FuzzFormatTimeout(f *testing.F) {
	f.Add(int64(1))
	f.Add(int64(time.Hour))
	f.Fuzz(func(t *testing.T, n int64) {
		d := max(time.Duration(n), 1)
		got, ok := parseTimeout(formatTimeout(d))
		if !ok || got > d || got < d-d/1_000 {
			t.Errorf("%v becomes %s: %v, %v", d, formatTimeout(d), got, ok)
		}
	})
}
