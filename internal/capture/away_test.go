package capture

import (
	"strings"
	"sync"
	"testing"
	"time"

	loomv1 "loom/api/loom/v1"
	"loom/internal/callevent"
)

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
	heir := successor(t, small())
	shown := routed(s, 99, "all")
	carry(t, s, heir)
	sub := subscribe(t, heir, 0)
	end(shown)
	play(s, 11, 35, 3)
	forward(t, s, heir, false)
	if st := s.Stats(); st.Dropped != 16 {
		t.Errorf("%d are counted as dropped, want 16", st.Dropped)
	}
	if c, ok := heir.Call(ID{7, 99}); !ok || c.GetReason() != ReasonLost || heir.Stats().Open != 0 {
		t.Errorf("the call that was shown as open is %v", c)
	}
	told, missed := 0, uint64(0)
	for told < 11 || missed == 0 {
		b, ok := next(t, sub)
		if !ok {
			break
		}
		told += len(b.Calls)
		missed += b.Missed
	}
	if told != 11 || missed != 16 {
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
	data := s.Snapshot()
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

// A process takes in calls of another one beside its own, in a ring that is too
// small for both: what is kept is whole, and the books are right.
func TestCallsAreTakenInBesideOthers(t *testing.T) {
	o := Options{Generation: 7, Calls: 60, Bytes: 1 << 20, MessageBytes: 16 << 10}
	s, heir := newTestStore(t, o), successor(t, o)
	sub := subscribe(t, heir, 0)
	theirs, ours := newPlayer(s, 1), newPlayer(heir, 2)
	var playing sync.WaitGroup
	playing.Go(func() {
		for range 3000 {
			ours.step()
		}
		ours.endAll()
	})
	carry(t, s, heir)
	for i := range 3000 {
		theirs.step()
		if i%20 == 0 {
			mergeAll(s, heir, i%100 == 0)
		}
		if i%500 == 0 {
			heir.Summaries(0)
		}
	}
	theirs.endAll()
	mergeAll(s, heir, true)
	playing.Wait()
	sub.Close()
	for c := range heir.Calls {
		if err := marshals(c); err != nil || c.GetState() != loomv1.CallState_CALL_STATE_ENDED {
			t.Errorf("call %s, %v: %v", c.GetId(), c.GetState(), err)
		}
	}
	if err := audit(heir); err != nil {
		t.Error(err)
	}
	if st := heir.Stats(); st.Open != 0 || len(heir.Away()) != 0 {
		t.Errorf("the figures are %+v", st)
	}
}

// mergeAll forwards what there is room for.
func mergeAll(from, to *Store, progress bool) {
	for more := true; more; {
		var data []byte
		if data, more = from.Changes(progress); data != nil {
			_, _ = to.Merge(data) // what has no room is left out
		}
	}
}
