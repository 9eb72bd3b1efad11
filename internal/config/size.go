package config

import (
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written with a unit: 512B, 64KiB, 4MiB, 1GiB.
type Size int64

const (
	kib Size = 1 << 10
	mib Size = 1 << 20
	gib Size = 1 << 30
)

// sizePattern is the form of a size for editors.
const sizePattern = `0|[0-9]+(B|KiB|MiB|GiB)`

// sizeUnits go from large to small, so that the first that divides a size is
// the one to show it in.
func sizeUnits() []struct {
	name  string
	bytes Size
} {
	return []struct {
		name  string
		bytes Size
	}{{"GiB", gib}, {"MiB", mib}, {"KiB", kib}, {"B", 1}}
}

// UnmarshalText reads a size. A bare number is refused, 0 aside, and so are
// units of a thousand, which people write for both kinds.
func (s *Size) UnmarshalText(text []byte) error {
	word := string(text)
	digits := strings.TrimRight(word, "KMGTBkmgtbi")
	unit := word[len(digits):]
	if !isDigits(digits) {
		return &mistake{quote(word) + " is not a size", "write it like 512B, 64KiB or 4MiB"}
	}
	if unit == "" && digits != "0" {
		return &mistake{quote(word) + " has no unit", "did you mean " + word + "B?"}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return wrong("%s is too large", quote(word))
	}
	for _, u := range sizeUnits() {
		if unit != u.name && !(unit == "" && u.name == "B") {
			continue
		}
		if n > math.MaxInt64/int64(u.bytes) {
			return wrong("%s is too large", quote(word))
		}
		*s = Size(n) * u.bytes
		return nil
	}
	return &mistake{quote(word) + " has an unknown unit", "did you mean " + digits + likelyUnit(unit) + "?"}
}

// likelyUnit returns the unit that people mean by k, KB, mb and the like.
func likelyUnit(unit string) string {
	switch strings.ToUpper(unit)[0] {
	case 'K':
		return "KiB"
	case 'M':
		return "MiB"
	case 'G', 'T':
		return "GiB"
	}
	return "B"
}

// String returns the shortest text that UnmarshalText reads back as s.
func (s Size) String() string {
	if s == 0 {
		return "0B"
	}
	for _, u := range sizeUnits() {
		if s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return ""
}

// MarshalText returns String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
