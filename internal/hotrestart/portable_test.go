//go:build !linux

package hotrestart

import (
	"strings"
	"testing"
)

func TestNeedsLinux(t *testing.T) {
	c, err := Started()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Hand(t.Context(), c, Offer{Generation: 2}, Options{}); err == nil || !strings.Contains(err.Error(), "check: a hot restart needs Linux") {
		t.Errorf("failed with %v", err)
	}
	h, err := Inherited(func(string) (string, bool) { return "", false })
	if h != nil || err != nil {
		t.Errorf("inherited %v, %v", h, err)
	}
}
