package h2

import "testing"

func TestRecentIDs(t *testing.T) {
	var r recentIDs
	if _, ok := r.find(1); ok {
		t.Error("a stream is known that never was")
	}
	const last = 3*recentCap + 17
	for id := uint32(1); id <= last; id++ {
		r.add(id, id%3 == 0)
		if reset, ok := r.find(id); !ok || reset != (id%3 == 0) {
			t.Fatalf("stream %d: reset %v, known %v right after its end", id, reset, ok)
		}
	}
	for id := uint32(1); id <= last; id++ {
		reset, ok := r.find(id)
		if want := id > last-recentCap; ok != want {
			t.Fatalf("stream %d of %d is known: %v, want %v", id, last, ok, want)
		}
		if ok && reset != (id%3 == 0) {
			t.Fatalf("stream %d: reset is %v", id, reset)
		}
	}
	if len(r.ring) != recentCap {
		t.Errorf("%d streams are remembered, want %d", len(r.ring), recentCap)
	}
}
