//go:build !linux && !darwin

package admin

import (
	"errors"
	"runtime"
)

// peerOf fails: a caller that nobody can name is refused.
func peerOf(int) (process, error) {
	return process{}, errors.New("loom does not know how to on " + runtime.GOOS)
}
