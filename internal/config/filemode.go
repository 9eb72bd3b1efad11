package config

import (
	"fmt"
	"strconv"
	"strings"
)

// FileMode is the permission bits of a file, written in octal: "0660".
type FileMode uint32

// fileModePattern is the form of a file mode for editors.
const fileModePattern = `(0o?)?[0-7]{3}`

// UnmarshalText reads three octal digits with or without a leading 0 or 0o.
func (m *FileMode) UnmarshalText(text []byte) error {
	s := string(text)
	digits := strings.TrimPrefix(s, "0o")
	if len(digits) == 4 && digits == s {
		digits = strings.TrimPrefix(s, "0")
	}
	n, err := strconv.ParseUint(digits, 8, 32)
	if err != nil || len(digits) != 3 {
		return &mistake{quote(s) + " is not a file mode", `write it like "0660"`}
	}
	*m = FileMode(n)
	return nil
}

// String returns four octal digits.
func (m FileMode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// MarshalText returns String.
func (m FileMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }
