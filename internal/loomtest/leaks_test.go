package loomtest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"loom/internal/loomtest"
)

// fakeTest takes the failures that a helper reports, so that a test can look.
type fakeTest struct {
	testing.TB
	cleanups []func()
	errors   []string
}

func (f *fakeTest) Helper()           {}
func (f *fakeTest) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }
func (f *fakeTest) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}
func (f *fakeTest) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	panic(f)
}

// end runs the cleanups as the end of the test would.
func (f *fakeTest) end() {
	for _, cleanup := range slices.Backward(f.cleanups) {
		cleanup()
	}
}

func TestCheckLeaksShowsTheStackOfALeak(t *testing.T) {
	// In a bubble the grace costs no time.
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeTest{TB: t}
		loomtest.CheckLeaks(fake)
		stop := make(chan struct{})
		go leakyGoroutine(stop)
		synctest.Wait()
		fake.end()
		close(stop)
		if len(fake.errors) != 1 || !strings.Contains(fake.errors[0], "leakyGoroutine") {
			t.Fatalf("reported %q, want the stack of leakyGoroutine", fake.errors)
		}
	})
}

func TestCheckLeaksWaitsForGoroutinesThatEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeTest{TB: t}
		loomtest.CheckLeaks(fake)
		stop := make(chan struct{})
		go leakyGoroutine(stop)
		close(stop)
		fake.end()
		if len(fake.errors) != 0 {
			t.Fatalf("reported %q", fake.errors)
		}
	})
}

func leakyGoroutine(stop chan struct{}) { <-stop }
