package capture

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	loomv1 "loom/api/loom/v1"
)

// fileIDs are the ids of the calls in the session file.
func fileIDs(t *testing.T, o SessionOptions) []string {
	t.Helper()
	var ids []string
	for _, line := range lines(t, o.Path()) {
		var c loomv1.Call
		if err := protojson.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("a line is no call: %v", err)
		}
		ids = append(ids, c.GetId())
	}
	return ids
}

// wantIDs are ids of a process, from one to another.
func wantIDs(process, from, until int) []string {
	var ids []string
	for i := from; i <= until; i++ {
		ids = append(ids, fmt.Sprintf("%d-%d", process, i))
	}
	return ids
}

func TestSessionFileHasEachCallOnceAcrossAReload(t *testing.T) {
	o := sessionOptions(t)
	s := newTestStore(t, small())
	w := s.OpenSession(o)
	play(s, 1, 5, 30)
	waitFor(t, func() bool { return len(w.queue) == 0 })
	open := routed(s, 6, "all")
	heir := successor(t, small())
	carry(t, s, heir)
	play(s, 7, 8, 30) // it goes on until the next one serves
	next := heir.OpenSession(o)
	play(heir, 1, 3, 30)
	end(open)
	w.Close()
	late := routed(s, 9, "all")
	play(s, 10, 11, 30)
	end(late)
	forward(t, s, heir, false)
	play(heir, 4, 5, 30)
	next.Close()
	got := fileIDs(t, o)
	if first := got[:8]; !slices.Equal(first, append(wantIDs(7, 1, 5), "7-7", "7-8", "7-6")) {
		t.Errorf("the old process wrote %v", first)
	}
	slices.Sort(got)
	if want := append(wantIDs(7, 1, 11), wantIDs(8, 1, 5)...); !slices.Equal(got, sorted(want)) {
		t.Errorf("the file has %v, want %v", got, want)
	}
	if w.Lost()+next.Lost() != 0 {
		t.Errorf("%d and %d were lost", w.Lost(), next.Lost())
	}
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// The process that was to write is gone while it was uncertain: what ended
// meanwhile is written, whether that process was told of it or not.
func TestSessionGoesOnAfterAReloadThatFailed(t *testing.T) {
	o := sessionOptions(t)
	s := newTestStore(t, small())
	w := s.OpenSession(o)
	play(s, 1, 3, 30)
	heir := successor(t, small())
	carry(t, s, heir)
	w.Close()
	heir.Uncertain(true)
	next := heir.OpenSession(o)
	play(s, 4, 4, 30)
	forward(t, s, heir, false)
	next.Close()
	play(s, 5, 5, 30)
	w = s.ReopenSession(o)
	play(s, 6, 7, 30)
	w.Close()
	if got := fileIDs(t, o); !slices.Equal(sorted(got), wantIDs(7, 1, 7)) {
		t.Errorf("the file has %v", got)
	}
}

// Calls of the process before are written once it may not take over again.
func TestUncertainProcessWritesItsOwnCallsFirst(t *testing.T) {
	o := sessionOptions(t)
	s, heir := newTestStore(t, small()), successor(t, small())
	carry(t, s, heir)
	heir.Uncertain(true)
	w := heir.OpenSession(o)
	play(s, 1, 3, 30)
	forward(t, s, heir, false)
	play(heir, 1, 2, 30)
	waitFor(t, func() bool { return len(w.queue) == 0 })
	heir.Uncertain(false)
	play(s, 4, 4, 30)
	forward(t, s, heir, false)
	w.Close()
	if got := fileIDs(t, o); !slices.Equal(got[:2], wantIDs(8, 1, 2)) || !slices.Equal(sorted(got[2:]), wantIDs(7, 1, 4)) || w.Lost() != 0 {
		t.Errorf("the file has %v", got)
	}
}

// Who gets the file in the end has the calls that ended while it waited.
func TestSessionFileOfAnotherProcessIsWaitedFor(t *testing.T) {
	o, logs := logged(sessionOptions(t))
	s, other := newTestStore(t, small()), successor(t, small())
	w := s.OpenSession(o)
	play(s, 1, 1, 30)
	waitFor(t, func() bool { return len(w.queue) == 0 })
	second := other.OpenSession(o)
	play(other, 1, 3, 30)
	second.Close() // while the first writes: it waits, and gives up
	if second.Lost() != 3 || logs.FilterMessageSnippet("given up").Len() != 1 {
		t.Errorf("%d were lost, and the log says %v", second.Lost(), logs.All())
	}
	third := other.OpenSession(o)
	play(other, 4, 6, 30)
	w.Close()
	waitFor(t, func() bool { return len(third.queue) == 0 })
	third.Close()
	if got := strings.Join(fileIDs(t, o), " "); got != "7-1 8-4 8-5 8-6" {
		t.Errorf("the file has %s", got)
	}
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}
