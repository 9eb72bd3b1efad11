//go:build !linux

package systemd

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(*testing.M) {
	fmt.Fprintln(os.Stderr, "systemd needs Linux: run these tests there, as root")
	os.Exit(1)
}
