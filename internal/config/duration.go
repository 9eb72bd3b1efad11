package config

import (
	"strings"
	"time"
)

// Duration is a time span, written as Go does: 300ms, 1m30s, 2h. It is never
// negative.
type Duration time.Duration

// durationPattern is the form of a duration for editors.
const durationPattern = `0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+`

// UnmarshalText reads a duration. A bare number is refused, 0 aside, because
// nothing says what it counts.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if isDigits(s) && s != "0" {
		return &mistake{quote(s) + " has no unit", "did you mean " + s + "s?"}
	}
	parsed, err := time.ParseDuration(s)
	switch {
	case err != nil && strings.Contains(err.Error(), "unknown unit") && strings.HasSuffix(s, "d"):
		return &mistake{"a duration has no unit for days: " + quote(s), "write 24h for a day"}
	case err != nil:
		return &mistake{quote(s) + " is not a duration", "write it like 300ms, 10s or 1m30s"}
	case parsed < 0:
		return wrong("%s is negative", s)
	}
	*d = Duration(parsed)
	return nil
}

// String returns the shortest text that UnmarshalText reads back as d.
func (d Duration) String() string {
	s := time.Duration(d).String()
	// 1h0m0s and 5m0s are what Go makes of 1h and 5m.
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText returns String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// isDigits reports whether s is a whole number of at most 18 digits, so that
// it fits an int64.
func isDigits(s string) bool {
	if s == "" || len(s) > len("999999999999999999") {
		return false
	}
	return strings.Trim(s, "0123456789") == ""
}
