//go:build linux

package systemd

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is callers that call without a pause.
type load struct {
	made   atomic.Int64
	failed atomic.Int64
	first  atomic.Pointer[error] // of those that failed

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// startLoad has a few callers call on several connections until stop. Calls that
// fail are counted, and not made again.
func startLoad(t *testing.T, address string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel}
	t.Cleanup(l.stop)
	for range 4 {
		c := dial(t, address)
		c.ask(t)
		for range 2 {
			l.running.Go(func() { l.call(ctx, c) })
		}
	}
	return l
}

func (l *load) call(ctx context.Context, c *caller) {
	for ; ctx.Err() == nil; time.Sleep(time.Millisecond) { // two cores have systemd and race detectors to run
		// The end of the test is no failure of the last call.
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		err := c.try(within)
		cancel()
		if l.made.Add(1); err != nil {
			l.failed.Add(1)
			l.first.CompareAndSwap(nil, &err)
		}
	}
}

func (l *load) stop() {
	l.cancel()
	l.running.Wait()
}

// wantWell ends the load, and checks that every call was answered.
func (l *load) wantWell(t *testing.T) {
	t.Helper()
	l.stop()
	if l.failed.Load() > 0 {
		t.Errorf("%d of %d calls failed; the first one: %v", l.failed.Load(), l.made.Load(), *l.first.Load())
	}
	if l.made.Load() < 100 {
		t.Errorf("only %d calls were made: that is no load", l.made.Load())
	}
}
