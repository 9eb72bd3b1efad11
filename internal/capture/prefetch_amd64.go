package capture

import "unsafe"

// prefetch asks for the cache lines from at on, to write to them. It is only a
// hint: there is nothing that it could read or change.
//
//go:noescape
func prefetch(at unsafe.Pointer, lines int)
