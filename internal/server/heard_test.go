package server

import (
	"testing"
	"testing/synctest"
	"time"
)

// Who asks for figures waits for those of the process before, for a while.
func TestHeard(t *testing.T) {
	for name, c := range map[string]struct {
		from int
		tell func(h *heard)
		want time.Duration
	}{
		"the first process":    {0, func(*heard) {}, 0},
		"it tells":             {3, func(h *heard) { h.now(3); h.now(3) }, time.Second},
		"only another tells":   {3, func(h *heard) { h.now(2) }, heardPatience},
		"nobody tells":         {3, func(*heard) {}, heardPatience},
		"it has ended instead": {1, func(h *heard) { h.now(1) }, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHeard(c.from)
				time.AfterFunc(time.Second, func() { c.tell(h) })
				start := time.Now()
				h.wait(t.Context())
				if took := time.Since(start); took != c.want {
					t.Errorf("it took %v, want %v", took, c.want)
				}
				time.Sleep(time.Minute)
				start = time.Now()
				h.wait(t.Context())
				if took := time.Since(start); c.want < heardPatience && took != 0 {
					t.Errorf("afterwards it took %v", took)
				}
			})
		})
	}
}
