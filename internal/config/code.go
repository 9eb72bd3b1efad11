package config

import (
	"slices"
	"strconv"
	"strings"
)

// Code is a gRPC status code, written by its name: UNAVAILABLE. OK is not
// among them: no key asks for it. The zero value is no code.
type Code uint32

const (
	codeUnknown          Code = 2
	codeDeadlineExceeded Code = 4
	codeInternal         Code = 13
	codeUnavailable      Code = 14
	codeDataLoss         Code = 15
)

// codeNames returns the names of the codes 1, 2, 3 and so on.
func codeNames() []string {
	return []string{
		"CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
		"ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
		"ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
		"UNAUTHENTICATED",
	}
}

// UnmarshalText reads the name of a code.
func (c *Code) UnmarshalText(text []byte) error {
	s := string(text)
	names := codeNames()
	if i := slices.Index(names, s); i >= 0 {
		*c = Code(i + 1)
		return nil
	}
	if s == "OK" || s == "0" {
		return wrong("OK is not a failure; name a code such as UNAVAILABLE")
	}
	msg := quote(s) + " is not a gRPC status code"
	if n, err := strconv.Atoi(s); err == nil && n >= 1 && n <= len(names) {
		return &mistake{"a gRPC status code is written by its name, not as " + s, didYouMean(names[n-1])}
	}
	if s == strings.ToLower(s) || strings.ContainsAny(s, "_- ") {
		return &mistake{msg, suggest(strings.ToUpper(s), names)}
	}
	return &mistake{msg, suggest(s, names)}
}

// String returns the name of the code, or nothing for no code.
func (c Code) String() string {
	names := codeNames()
	switch {
	case c == 0:
		return ""
	case int(c) <= len(names):
		return names[c-1]
	}
	return strconv.Itoa(int(c))
}

// MarshalText returns String.
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
