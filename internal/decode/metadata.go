package decode

import (
	"encoding/base64"
	"strings"
)

// BinaryMetadata decodes the value of a metadata key that ends in -bin:
// base64 of either alphabet, padded or not. It returns false if it is none.
func BinaryMetadata(v string) ([]byte, bool) {
	v = strings.TrimRight(strings.TrimSpace(v), "=")
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if b, err := e.DecodeString(v); err == nil {
			return b, true
		}
	}
	return nil, false
}
