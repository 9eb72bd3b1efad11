//go:build !amd64

package capture

import "unsafe"

// prefetch does nothing where no hint is known.
func prefetch(unsafe.Pointer, int) {}
