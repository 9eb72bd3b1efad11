package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/admin"
	"loom/internal/hotrestart"
)

// Whoever watches a reload hears all lines, from the first one on, and then how
// it came out, however late he comes.
func TestWatchReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReload("test", time.Now())
		var heard []string
		ended := make(chan admin.Successor, 1)
		go func() {
			next, err := r.watch(t.Context(), func(line string) error {
				heard = append(heard, line)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			ended <- next
		}()
		r.say("check", "one")
		time.Sleep(1500 * time.Millisecond)
		r.say("spawn", "two")
		synctest.Wait()
		r.end(admin.Successor{Number: 2, PID: 7}, nil)
		if next := <-ended; next.Number != 2 || next.PID != 7 {
			t.Errorf("it came out as %v", next)
		}
		want := []string{"  0.000s  check      one", "  1.500s  spawn      two"}
		if !slices.Equal(heard, want) {
			t.Errorf("heard %q, want %q", heard, want)
		}
		late := 0
		if _, err := r.watch(t.Context(), func(string) error { late++; return nil }); err != nil || late != 2 {
			t.Errorf("late: %d lines, %v", late, err)
		}
	})
}

// Who does not wait any more hears so, unless it is over.
func TestStopWatchingReload(t *testing.T) {
	r := newReload("test", time.Now())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	say := func(string) error { return nil }
	if _, err := r.watch(gone, say); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	r.say("check", "one")
	broken := errors.New("nobody listens")
	if _, err := r.watch(t.Context(), func(string) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("ended with %v", err)
	}
	why := errors.New("it failed")
	r.end(admin.Successor{}, why)
	if _, err := r.watch(gone, say); !errors.Is(err, why) {
		t.Errorf("over: ended with %v", err)
	}
}

// What a successor says is bounded.
func TestReloadSaysOnlySoMuch(t *testing.T) {
	r := newReload("test", time.Now())
	for range 2 * maxLines {
		r.say("prepare", "still at it")
	}
	r.end(admin.Successor{}, nil)
	n := 0
	if _, err := r.watch(t.Context(), func(string) error { n++; return nil }); err != nil || n != maxLines {
		t.Errorf("%d lines, %v", n, err)
	}
}

// There is one reload at a time; the second one is told which, and a further
// one may begin when it is over.
func TestOneReloadAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newReloads()
		first, err := all.begin("alice with loomctl")
		if err != nil {
			t.Fatal(err)
		}
		first.say("state", "state crosses")
		time.Sleep(2 * time.Second)
		_, err = all.begin("bob with loomctl")
		refused, ok := errors.AsType[*admin.RefusedError](err)
		if !ok || !strings.Contains(refused.Why, "asked for by alice with loomctl, since 00:00:00 (2s), at step state") {
			t.Errorf("the second one: %v", err)
		}
		all.done(<-all.queue, admin.Successor{}, errors.New("it failed"))
		if _, err = all.begin("bob with loomctl"); err != nil {
			t.Errorf("after the first one: %v", err)
		}
		all.done(<-all.queue, admin.Successor{Number: 2}, nil)
		if _, err = all.begin("carol with loomctl"); !errors.Is(err, errReplaced) {
			t.Errorf("after one that succeeded: %v", err)
		}
	})
}

// A loomd that ends takes none any more, and says so to those who wait.
func TestNoReloadAtTheEnd(t *testing.T) {
	all := newReloads()
	waiting, err := all.begin("test")
	if err != nil {
		t.Fatal(err)
	}
	all.close(errStopping)
	if _, err := waiting.watch(t.Context(), func(string) error { return nil }); !errors.Is(err, errStopping) {
		t.Errorf("who waits: %v", err)
	}
	if _, err := all.begin("test"); !errors.Is(err, errStopping) {
		t.Errorf("who comes: %v", err)
	}
}

// A server that cannot be started again says so.
func TestNoReload(t *testing.T) {
	r := serve(t, oneBackend(nobody, anyPort))
	if _, err := r.Reload(t.Context(), "test", nil); !errors.Is(err, errNoReload) {
		t.Errorf("error %v", err)
	}
}

// A reload that cannot be made leaves everything as it is: the sockets accept,
// configurations are applied, and the next one may begin.
func TestReloadFails(t *testing.T) {
	r := serve(t, oneBackend(nobody, anyPort))
	r.opts.Command = &hotrestart.Command{Args: []string{"/nowhere/loomd"}, Dir: "/"}
	for range 3 {
		var lines []string
		_, err := r.Reload(t.Context(), "test", func(line string) error {
			lines = append(lines, line)
			return nil
		})
		if aborted, ok := errors.AsType[*admin.AbortedError](err); !ok || !strings.HasPrefix(aborted.Why, "check: find the program: ") {
			t.Fatalf("error %v", err)
		}
		if len(lines) != 1 || !strings.Contains(lines[0], "check") {
			t.Errorf("lines %q", lines)
		}
		down := r.dial(0)
		if err := down.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := r.log.FilterMessageSnippet("reload failed").Len(); n != 3 {
		t.Errorf("%d lines in the log", n)
	}
	if v := r.generationViews(); len(v) != 1 || !v[0].Serving || v[0].Number != 1 {
		t.Errorf("generations %v", v)
	}
}
