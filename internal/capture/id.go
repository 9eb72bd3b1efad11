package capture

import (
	"fmt"
	"strconv"
	"strings"
)

// ID names a call. Its text is GENERATION-SEQUENCE, the first in hexadecimal.
type ID struct {
	Generation uint64 // of the process that it came in on
	Sequence   uint64 // counts up from 1 in that process
}

// String returns the text of the id, such as 8f2a1-1041.
func (id ID) String() string {
	return strconv.FormatUint(id.Generation, 16) + "-" + strconv.FormatUint(id.Sequence, 10)
}

// ParseID reads what String writes.
func ParseID(s string) (ID, error) {
	generation, sequence, found := strings.Cut(s, "-")
	g, err := strconv.ParseUint(generation, 16, 64)
	if err == nil && found {
		var n uint64
		if n, err = strconv.ParseUint(sequence, 10, 64); err == nil && n > 0 {
			return ID{g, n}, nil
		}
	}
	return ID{}, fmt.Errorf("%q is not the id of a call, such as 8f2a1-1041", s)
}
