package capture

import (
	"bytes"
	"testing"
	"testing/synctest"

	loomv1 "loom/api/loom/v1"
	"loom/internal/callevent"
)

func TestFlaggedCallSaysSoInItsRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestStore(t, small())
		end(routed(s, 1, "all"))
		end(routed(s, 2, "all"))
		if err := s.Add(&loomv1.Call{Id: "5-1", Revision: 9}); err != nil {
			t.Fatal(err)
		}
		sub := subscribe(t, s, 0)
		for _, id := range []ID{{7, 2}, {5, 1}, {7, 3}} {
			was := make(map[string]uint64)
			for _, row := range s.Summaries(0) {
				was[row.GetId()] = row.GetRevision()
			}
			s.Flag(id)
			b, told := next(t, sub)
			if _, there := s.Call(id); !there {
				if told {
					t.Errorf("a call that is not there was told of: %v", b)
				}
				continue
			}
			if len(b.Calls) != 1 || b.Calls[0].GetId() != id.String() || !b.Calls[0].GetDrift() || b.Calls[0].GetRevision() <= was[id.String()] {
				t.Errorf("%v: told of %v", id, b.Calls)
			}
			s.Flag(id)
			if b, told := next(t, sub); told {
				t.Errorf("%v is told of again: %v", id, b.Calls)
			}
		}
		for _, row := range s.Summaries(0) {
			if want := row.GetId() != "7-1"; row.GetDrift() != want {
				t.Errorf("call %s: drift %t, want %t", row.GetId(), row.GetDrift(), want)
			}
		}
	})
}

// A record that is used again is not flagged for the call before.
func TestFlagGoesWithItsCall(t *testing.T) {
	o := small()
	o.Calls = 1
	s := newTestStore(t, o)
	end(routed(s, 1, "all"))
	s.Flag(ID{7, 1})
	end(routed(s, 2, "all"))
	if rows := s.Summaries(0); len(rows) != 1 || rows[0].GetDrift() {
		t.Errorf("rows %v", rows)
	}
}

func TestEachEndedCallIsExaminedOnce(t *testing.T) {
	call := func(s *Store, id uint64, data []byte) callevent.Follower {
		f := routed(s, id, "all")
		send(f, callevent.Up, data)
		return f
	}
	s := newTestStore(t, small())
	call(s, 1, []byte("open"))
	for id := range uint64(3) {
		end(call(s, 2+id, []byte("m")))
	}
	end(call(s, 5, bytes.Repeat([]byte("large"), examinedBytes/4)))
	end(routed(s, 6, "all")) // without messages
	s.SetMode(Metadata)
	end(call(s, 7, []byte("not recorded")))
	for _, want := range []uint64{4, 3, 2} {
		if c, ok := s.NextUnexamined(); !ok || c.GetId() != (ID{7, want}).String() || len(c.GetMessages()) != 1 {
			t.Fatalf("examined %v, want call %d", c, want)
		}
	}
	if c, ok := s.NextUnexamined(); ok {
		t.Errorf("examined %v as well", c)
	}
}

func TestOnlyTheNewestCallsWaitToBeExamined(t *testing.T) {
	o := small()
	o.Calls, o.Bytes = 3000, 64<<20
	s := newTestStore(t, o)
	for id := range uint64(unexaminedCalls + 500) {
		f := routed(s, id+1, "all")
		send(f, callevent.Up, []byte("m"))
		end(f)
	}
	for want := uint64(unexaminedCalls + 500); want > 500; want-- {
		if c, ok := s.NextUnexamined(); !ok || c.GetId() != (ID{7, want}).String() {
			t.Fatalf("examined %v, want call %d", c.GetId(), want)
		}
	}
	if c, ok := s.NextUnexamined(); ok {
		t.Errorf("examined %v as well", c.GetId())
	}
	f := routed(s, 5000, "all")
	send(f, callevent.Up, []byte("m"))
	end(f)
	s.Clear()
	if c, ok := s.NextUnexamined(); ok {
		t.Errorf("examined %v, which is gone", c.GetId())
	}
}
