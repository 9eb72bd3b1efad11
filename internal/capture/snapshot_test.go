package capture

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	loomv1 "loom/api/loom/v1"
	"loom/internal/callevent"
)

// successor is a store of the process that follows one with the options o.
func successor(t testing.TB, o Options) *Store {
	t.Helper()
	o.Generation++
	return newTestStore(t, o)
}

// carry has one store restore what another has.
func carry(t testing.TB, from, to *Store) {
	t.Helper()
	if err := to.Restore(from.Snapshot()); err != nil {
		t.Fatal(err)
	}
}

// forward has one store take in what became of the calls of another, and
// returns how many bundles that were.
func forward(t testing.TB, from, to *Store, progress bool) int {
	t.Helper()
	for n := 0; ; n++ {
		data, more := from.Changes(progress)
		if data == nil {
			return n
		}
		if process, err := to.Merge(data); err != nil || process != from.opts.Generation {
			t.Fatalf("of process %d: %v", process, err)
		}
		if !more {
			return n + 1
		}
	}
}

// sameCalls compares what two stores show of the calls that both are to have.
func sameCalls(t *testing.T, a, b *Store) {
	t.Helper()
	var want, got []*loomv1.Call
	for c := range a.Calls {
		want = append(want, c)
	}
	for c := range b.Calls {
		got = append(got, c)
	}
	if len(want) != len(got) {
		t.Fatalf("%d calls became %d", len(want), len(got))
	}
	for i := range want {
		if !proto.Equal(want[i], got[i]) {
			t.Fatalf("call %d of %d was\n%v\nand is\n%v", i, len(want), want[i], got[i])
		}
	}
	rows := b.Summaries(0)
	for i, row := range a.Summaries(0) {
		if !proto.Equal(row, rows[i]) {
			t.Fatalf("row %d was\n%v\nand is\n%v", i, row, rows[i])
		}
	}
}

// whole plays a call that has everything that a record can have.
func whole(s *Store, id uint64) callevent.Follower {
	at := began.Add(time.Duration(id) * time.Millisecond)
	f := s.Begin(callevent.Call{ID: id, At: at, Peer: fmt.Sprintf("10.0.0.1:%d", id), Identity: "spiffe://a/b", Path: "/a.B/\xffC", Timeout: time.Second, Fields: []hpack.HeaderField{
		{Name: ":authority", Value: "things.test"}, {Name: "traceparent", Value: "00-" + strings.Repeat("ab", 16) + "-01-00"},
		{Name: ReplayHeader, Value: "1-2"}, {Name: "x-bin", Value: "\xff\x00"}, {Name: "authorization", Value: "secret"},
	}})
	f.Routed(at, "all", "b")
	f.Attempted(at, "b", "10.0.0.2:1")
	f.Attempted(at.Add(1000), "b", "10.0.0.2:2")
	f.Interim(at.Add(2000), []hpack.HeaderField{{Name: ":status", Value: "103"}})
	f.Piece(at.Add(3000), callevent.Piece{First: true, Last: true, Size: 5, Data: []byte("hello")})
	f.Headers(at.Add(4000), []hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "grpc-encoding", Value: "gzip"}})
	big := bytes.Repeat([]byte{byte(id)}, 700)
	f.Piece(at.Add(5000), callevent.Piece{Direction: callevent.Down, First: true, Last: true, Compressed: true, Size: 700, Data: big})
	for i := range id % 400 {
		f.Piece(at.Add(time.Duration(6000+i)), callevent.Piece{Direction: callevent.Direction(i % 2), First: true, Last: true, Size: 3, Data: []byte("abc")})
	}
	f.Piece(at.Add(7000), callevent.Piece{Direction: callevent.Down, First: true, Size: 100, Data: []byte("part")})
	return f
}

func finishWhole(f callevent.Follower, at time.Time) {
	f.Trailers(at, []hpack.HeaderField{{Name: "grpc-status", Value: "5"}, {Name: "grpc-status-details-bin", Value: "CAU"}})
	f.Ended(at, &callevent.Summary{HasCode: true, Code: 5, Detail: "not \xffthere", Ender: callevent.ByBackend})
}

func TestCallsCrossAsTheyAre(t *testing.T) {
	o := Options{Generation: 7, Calls: 1000, Bytes: 32 << 20, MessageBytes: 600, Redact: []string{"authorization"}, RouteModes: map[string]Mode{"quiet": Metadata}}
	s := newTestStore(t, o)
	var open []callevent.Follower
	for i := uint64(1); i <= 450; i += 7 {
		f := whole(s, i)
		if i%2 == 0 {
			finishWhole(f, began.Add(time.Second))
		} else {
			open = append(open, f)
		}
	}
	quiet := routed(s, 900, "quiet")
	send(quiet, callevent.Up, []byte("unseen"))
	end(quiet)
	cancelled := routed(s, 901, "all")
	cancelled.Ended(began, &callevent.Summary{Ender: callevent.ByCancel, Detail: "the caller cancelled"})
	if err := s.Add(&loomv1.Call{Id: "5-5", Path: "/earlier.Session/Call", State: loomv1.CallState_CALL_STATE_ENDED}); err != nil {
		t.Fatal(err)
	}
	s.Flag(ID{7, 900})
	heir := successor(t, o)
	carry(t, s, heir)
	sameCalls(t, s, heir)
	if err := audit(heir); err != nil {
		t.Error(err)
	}
	if a, b := s.Stats(), heir.Stats(); a.Kept != b.Kept || a.Open != b.Open || b.Seen != 0 || !a.Oldest.Equal(b.Oldest) {
		t.Errorf("the figures were %+v and are %+v", a, b)
	}

	// And once more: what came from the first is passed on by the second.
	last := successor(t, heir.opts)
	carry(t, heir, last)
	sameCalls(t, s, last)
	for _, f := range open {
		finishWhole(f, began.Add(2*time.Second))
	}
	forward(t, s, last, false)
	sameCalls(t, s, last)
	if err := audit(last); err != nil {
		t.Error(err)
	}
}

// What ended first is forgotten first, in the next process too, and a ring that
// became smaller has the newest.
func TestOrderCrosses(t *testing.T) {
	o := small()
	s := newTestStore(t, o)
	first := routed(s, 1, "all")
	play(s, 2, 80, 40)
	end(first)
	o.Calls = 50
	heir := successor(t, o)
	carry(t, s, heir)
	rows := heir.Summaries(0)
	if len(rows) != 50 || rows[0].GetId() != "7-1" || rows[1].GetId() != "7-32" || rows[49].GetId() != "7-80" {
		t.Fatalf("%d calls, from %s, %s to %s", len(rows), rows[0].GetId(), rows[1].GetId(), rows[len(rows)-1].GetId())
	}
	play(heir, 1, 49, 40)
	if rows := heir.Summaries(0); rows[0].GetId() != "7-1" {
		t.Errorf("the call that ended last was forgotten before others: %s is the oldest", rows[0].GetId())
	}
	play(heir, 50, 50, 40)
	if rows := heir.Summaries(0); len(rows) != 50 || rows[0].GetId() != "8-1" {
		t.Errorf("%d calls, from %s", len(rows), rows[0].GetId())
	}
}

// A snapshot of a store that is at work is whole, and what follows completes it.
func TestSnapshotOfAStoreAtWork(t *testing.T) {
	o := Options{Generation: 7, Calls: 2000, Bytes: 32 << 20, MessageBytes: 16 << 10}
	s, heir := newTestStore(t, o), successor(t, o)
	var calls sync.WaitGroup
	begun := make(chan struct{}, 1200)
	for g := range uint64(3) {
		calls.Go(func() {
			for i := range uint64(400) {
				f := whole(s, (g*400+i)*400+3)
				begun <- struct{}{}
				finishWhole(f, began.Add(time.Second))
			}
		})
	}
	for range 100 {
		<-begun
	}
	s.Snapshot() // of a reload that fails
	for range 100 {
		<-begun
	}
	carry(t, s, heir)
	for range 1000 {
		<-begun
		forward(t, s, heir, true)
	}
	calls.Wait()
	forward(t, s, heir, false)
	sameCalls(t, s, heir)
	if st := heir.Stats(); st.Open != 0 || st.Kept != 1200 || s.Stats().Dropped != 0 {
		t.Errorf("the figures are %+v", st)
	}
}
