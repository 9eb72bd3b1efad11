package capture

import (
	"bytes"
	"fmt"
	"strconv"
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
	data, err := from.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Restore(data); err != nil {
		t.Fatal(err)
	}
}

// forward has one store take in what became of the calls of another, and
// returns how many bundles that were.
func forward(t testing.TB, from, to *Store, progress bool) int {
	t.Helper()
	for n := 0; ; n++ {
		data, more, err := from.Changes(progress)
		if err != nil {
			t.Fatal(err)
		}
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

func TestOpenCallEndsInTheNextProcess(t *testing.T) {
	o := small()
	s := newTestStore(t, o)
	stream := routed(s, 1, "all")
	send(stream, callevent.Up, []byte("one"))
	heir := successor(t, o)
	carry(t, s, heir)
	sub := subscribe(t, heir, 0)
	later := routed(s, 2, "all") // begins after the snapshot
	send(stream, callevent.Down, []byte("two"))
	forward(t, s, heir, false)
	if rows := heir.Summaries(0); len(rows) != 2 || rows[0].GetDown() != 0 || rows[1].GetState() != loomv1.CallState_CALL_STATE_OPEN {
		t.Fatalf("before it is time for progress: %v", rows)
	}
	if forward(t, s, heir, true) != 1 || forward(t, s, heir, true) != 0 {
		t.Error("progress is told once")
	}
	sameCalls(t, s, heir)
	end(later)
	finishWhole(stream, began.Add(time.Minute))
	forward(t, s, heir, false)
	sameCalls(t, s, heir)
	if st := heir.Stats(); st.Open != 0 || st.Kept != 2 {
		t.Errorf("the figures are %+v", st)
	}
	ends := map[string]int{}
	for len(ends) < 2 {
		b, ok := next(t, sub)
		if !ok {
			t.Fatalf("subscribers heard of the ends of %v only", ends)
		}
		for _, c := range b.Calls {
			if c.GetState() == loomv1.CallState_CALL_STATE_ENDED {
				ends[c.GetId()]++
			}
		}
	}
	if ends["7-1"] != 1 || ends["7-2"] != 1 {
		t.Errorf("ends were told so often: %v", ends)
	}
	if n := forward(t, s, heir, true); n != 0 {
		t.Errorf("%d bundles tell of nothing", n)
	}
	s.Flag(ID{7, 1})
	forward(t, s, heir, false)
	if rows := heir.Summaries(0); !rows[0].GetDrift() || rows[1].GetDrift() {
		t.Errorf("the drift of a call that had ended did not follow: %v", rows)
	}
}

// A stream of more bytes than may be copied while it goes on has its messages
// in the next process when it has ended; how far it is, at once.
func TestLargeOpenCallShowsHowFarItIs(t *testing.T) {
	o := Options{Generation: 7, Calls: 10, Bytes: 8 << 20, MessageBytes: 200 << 10}
	s := newTestStore(t, o)
	f := routed(s, 1, "all")
	send(f, callevent.Up, []byte("first"))
	heir := successor(t, o)
	carry(t, s, heir)
	for range 2 {
		send(f, callevent.Down, make([]byte, 150<<10))
	}
	forward(t, s, heir, true)
	c, _ := heir.Call(ID{7, 1})
	if len(c.GetMessages()) != 1 || c.GetResponse().GetMessages() != 2 || c.GetResponse().GetUnrecorded() != 2 || c.GetRequest().GetUnrecorded() != 0 {
		t.Errorf("while it is open: %v", c)
	}
	if err := audit(heir); err != nil {
		t.Error(err)
	}
	end(f)
	forward(t, s, heir, false)
	sameCalls(t, s, heir)
}

// A call that is in no bundle because the ring was too small for it is counted,
// and who watches is told.
func TestCallThatIsForgottenBeforeItIsForwardedIsCounted(t *testing.T) {
	o := small()
	o.Calls = 10
	s := newTestStore(t, o)
	play(s, 1, 10, 3)
	heir := successor(t, o)
	carry(t, s, heir)
	sub := subscribe(t, heir, 0)
	play(s, 11, 35, 3)
	forward(t, s, heir, false)
	if st := s.Stats(); st.Dropped != 15 {
		t.Errorf("%d are counted as dropped, want 15", st.Dropped)
	}
	told, missed := 0, uint64(0)
	for told < 10 || missed == 0 {
		b, ok := next(t, sub)
		if !ok {
			break
		}
		told += len(b.Calls)
		missed += b.Missed
	}
	if told != 10 || missed != 15 {
		t.Errorf("who watches was told of %d calls and that %d are missing", told, missed)
	}
}

// A ring that open calls fill has no room for more of them; those that ended
// make room.
func TestOpenCallsBeyondTheRingAreLeftOut(t *testing.T) {
	o := small()
	s := newTestStore(t, o)
	for i := uint64(1); i <= 8; i++ {
		routed(s, i, "all")
	}
	play(s, 20, 30, 3)
	o.Calls = 5
	heir := successor(t, o)
	data, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := heir.Restore(data); err == nil || !strings.Contains(err.Error(), "3 of 19 are left out; the first: call 7-") {
		t.Errorf("the error is %v", err)
	}
	if st := heir.Stats(); st.Open != 5 || st.Kept != 5 || st.Dropped != 3 {
		t.Errorf("the figures are %+v", st)
	}
}

func TestCallsOfAProcessThatIsGoneAreEnded(t *testing.T) {
	o := small()
	s := newTestStore(t, o)
	f, g := whole(s, 1), routed(s, 2, "all")
	defer end(g)
	heir := successor(t, o)
	mine := routed(heir, 1, "all")
	defer end(mine)
	carry(t, s, heir)
	finishWhole(f, began.Add(time.Second))
	forward(t, s, heir, false)
	if got := heir.Away(); len(got) != 1 || got[0] != 7 {
		t.Errorf("calls are open in %v", got)
	}
	if n := heir.EndLost(7); n != 1 {
		t.Errorf("%d calls were lost, want 1", n)
	}
	lost, _ := heir.Call(ID{7, 2})
	if lost.GetState() != loomv1.CallState_CALL_STATE_ENDED || lost.GetReason() != ReasonLost || lost.GetStatus() != nil {
		t.Errorf("the call that was lost is %v", lost)
	}
	if told, _ := heir.Call(ID{7, 1}); told.GetStatus().GetCode() != 5 {
		t.Errorf("the call whose end was told is %v", told)
	}
	if st := heir.Stats(); st.Open != 1 || len(heir.Away()) != 0 || heir.EndLost(7) != 0 {
		t.Errorf("the figures are %+v", st)
	}
	if err := audit(heir); err != nil {
		t.Error(err)
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
	if _, err := s.Snapshot(); err != nil { // of a reload that fails
		t.Fatal(err)
	}
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

func TestDamagedSnapshotIsRefusedAsAWhole(t *testing.T) {
	s := newTestStore(t, small())
	play(s, 1, 20, 100)
	data, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, data[:len(data)-1], data[1:], append([]byte{0x07}, data...)} {
		heir := successor(t, small())
		if err := heir.Restore(bad); err == nil || heir.Stats().Kept != 0 {
			t.Errorf("%d bytes: %v, %d calls", len(bad), err, heir.Stats().Kept)
		}
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
		data, err := s.Snapshot()
		if err != nil {
			f.Fatal(err)
		}
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
	data, err := s.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("save", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Snapshot(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(data)), "bytes")
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
