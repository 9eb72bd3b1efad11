package capture

import (
	"strconv"
	"testing"

	"golang.org/x/net/http2/hpack"

	loomv1 "loom/api/loom/v1"
	"loom/internal/callevent"
)

func TestDamagedSnapshotIsRefusedAsAWhole(t *testing.T) {
	s := newTestStore(t, small())
	play(s, 1, 20, 100)
	data := s.Snapshot()
	for _, bad := range [][]byte{nil, data[:len(data)-1], data[1:], append([]byte{0x07}, data...)} {
		heir := successor(t, small())
		if err := heir.Restore(bad); err == nil || heir.Stats().Kept != 0 {
			t.Errorf("%d bytes: %v, %d calls", len(bad), err, heir.Stats().Kept)
		}
	}
}

// A call that was added with text that is none cannot be written down, and
// keeps no other from it.
func TestCallThatCannotBeWrittenDownIsLeftOut(t *testing.T) {
	s := newTestStore(t, small())
	play(s, 1, 3, 10)
	if err := s.Add(&loomv1.Call{Id: "5-5", Path: "\xff"}); err != nil {
		t.Fatal(err)
	}
	heir := successor(t, small())
	if err := heir.Restore(s.Snapshot()); err == nil || heir.Stats().Kept != 3 {
		t.Errorf("%d calls, %v", heir.Stats().Kept, err)
	}
}

func FuzzBundle(f *testing.F) {
	s := newTestStore(f, Options{Generation: 7, Calls: 20, Bytes: 1 << 20, MessageBytes: 4000})
	finishWhole(whole(s, 5), began)
	open := whole(s, 9)
	if err := s.Add(&loomv1.Call{Id: "5-5"}); err != nil {
		f.Fatal(err)
	}
	for range 2 {
		data := s.Snapshot()
		f.Add(data)
		f.Add(data[:len(data)/2])
		finishWhole(open, began)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		heir := newTestStore(t, Options{Generation: 8, Calls: 5, Bytes: 256 << 10, MessageBytes: 100})
		_ = heir.Restore(data) // the error is for people
		_, _ = heir.Merge(data)
		for c := range heir.Calls {
			if err := marshals(c); err != nil {
				t.Fatalf("a call that was restored cannot be shown: %v", err)
			}
		}
		heir.Summaries(0)
		for _, process := range heir.Away() {
			heir.EndLost(process)
		}
		if err := audit(heir); err != nil {
			t.Fatal(err)
		}
		if st := heir.Stats(); st.Open != 0 {
			t.Fatalf("%d calls are open", st.Open)
		}
	})
}

func BenchmarkSnapshot(b *testing.B) {
	o := Options{Generation: 7, Calls: 10_000, Bytes: 64 << 20, MessageBytes: 256 << 10}
	s := newTestStore(b, o)
	message := make([]byte, 100)
	for i := range uint64(10_000) {
		f := s.Begin(callevent.Call{ID: i + 1, At: began, Peer: "127.0.0.1:1", Path: "/a.B/C", Fields: append([]hpack.HeaderField{{Name: "x-trace", Value: strconv.FormatUint(i, 10)}}, trailer...)})
		f.Routed(began, "all", "b")
		f.Attempted(began, "b", "127.0.0.1:2")
		send(f, callevent.Up, message)
		f.Headers(began, trailer)
		send(f, callevent.Down, message)
		f.Trailers(began, trailer)
		end(f)
	}
	data := s.Snapshot()
	b.Run("save", func(b *testing.B) {
		for b.Loop() {
			s.Snapshot()
		}
		b.ReportMetric(float64(len(data)), "bytes")
	})
	b.Run("changes", func(b *testing.B) {
		for b.Loop() {
			s.Changes(true)
		}
	})
	b.Run("restore", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			heir := successor(b, o)
			b.StartTimer()
			if err := heir.Restore(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
