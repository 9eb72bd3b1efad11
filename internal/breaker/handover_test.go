package breaker

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// movedWall returns t as it would be if the wall clock had been moved: the
// monotonic reading is the same. A Time has its wall clock in the first word,
// seconds above 30 bits of nanoseconds.
func movedWall(t time.Time, by time.Duration) time.Time {
	moved := t
	*(*uint64)(unsafe.Pointer(&moved)) += uint64(int64(by/time.Second)) << 30
	return moved
}

// The wall clock moves, and the time that passed does not.
func TestMovedWall(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		now := time.Now()
		moved := movedWall(now, by)
		if moved.Sub(now) != 0 || moved.Round(0).Sub(now.Round(0)) != by {
			t.Errorf("moved %s, %s by the wall", moved.Sub(now), moved.Round(0).Sub(now.Round(0)))
		}
	}
}

func TestHalfOpen14RecordsOfDifferentHoursAreTheSame(t *testing.T) {
	early, late := goodRecord(t, 0), goodRecord(t, time.Hour)
	if early != late {
		t.Errorf("the record has a point in time in it:\n%s\n%s", early, late)
	}
}

func TestHalfOpen20HotRestart(t *testing.T) {
	handOver := func(r *rig) *rig {
		r.t.Helper()
		r.Pause()
		child := newRig(r.t, usual())
		if err := child.Restore(r.Snapshot(), 0); err != nil {
			r.t.Fatal(err)
		}
		return child
	}
	t.Run("open keeps what remains", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			r.open()
			pass(4 * time.Second)
			child := handOver(r)
			pass(6 * time.Second)
			child.want(Open)
			pass(1)
			child.want(HalfOpen)
			r.want(Open) // paused
		})
	})
	t.Run("half-open gives one budget to both", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			r.halfOpen()
			r.allow(unary{})
			child := handOver(r)
			r.rejected()
			pass(2)
			child.want(HalfOpen)
			for range 3 {
				child.allow(unary{})
			}
			child.rejected()
			r.rejected()
		})
	})
	t.Run("back-off goes on", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			r.halfOpen()
			child := handOver(r)
			pass(2)
			child.call(Failure)
			if d := child.Status().NextProbe; d != 20*time.Second {
				t.Errorf("the second opening lasts %s, want 20s", d)
			}
		})
	})
	t.Run("forced", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			r.Open("the operator")
			child := handOver(r)
			child.want(ForcedOpen)
			child.rejected()
			r.Close("the operator")
			child = handOver(r)
			child.want(Disabled)
			for range 100 {
				child.call(Failure)
			}
		})
	})
	t.Run("closed keeps the failures in a row", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			for range 4 {
				r.call(Failure)
			}
			child := handOver(r)
			child.call(Failure)
			child.want(Open)
		})
	})
	t.Run("failures in a row last across it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := usual()
			s.Lasting = 100 * time.Millisecond
			r, child := newRig(t, s), newRig(t, s)
			for range 5 {
				r.call(Failure)
			}
			pass(60 * time.Millisecond)
			if err := child.Restore(r.Snapshot(), 30*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			child.call(Failure)
			child.want(Closed) // 90 ms
			pass(10 * time.Millisecond)
			child.call(Failure)
			child.want(Open)
		})
	})
	t.Run("closed keeps the window, which goes on ageing", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			for range 9 {
				r.call(Failure)
				r.call(Success)
			}
			pass(30 * time.Second)
			child := newRig(r.t, usual())
			if err := child.Restore(r.Snapshot(), 10*time.Second); err != nil {
				t.Fatal(err)
			}
			if s := child.Status(); s.Verdicts != 18 || s.Failures != 9 {
				t.Errorf("%d verdicts and %d failures, want 18 and 9", s.Verdicts, s.Failures)
			}
			child.call(Success)
			child.call(Failure) // half of 20
			child.want(Open)
			child.Reset("the operator")
			if err := child.Restore(r.Snapshot(), 31*time.Second); err != nil {
				t.Fatal(err)
			}
			if s := child.Status(); s.Verdicts != 0 {
				t.Errorf("%d verdicts after the window, want none", s.Verdicts)
			}
		})
	})
	t.Run("what the way took is taken off", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			r.open()
			record := r.Snapshot()
			r.Pause()
			pass(3 * time.Second)
			child := newRig(r.t, usual())
			if err := child.Restore(record, 3*time.Second); err != nil {
				t.Fatal(err)
			}
			if got, want := child.Status(), r.Status(); got.NextProbe != 7*time.Second || got.Since != want.Since || got.LastErrorAt != want.LastErrorAt {
				t.Errorf("it is\n%+v, want\n%+v", got, want)
			}
			child.went() // nothing has changed
			pass(7 * time.Second)
			child.want(Open)
			pass(1)
			child.want(HalfOpen)
			late := newRig(r.t, usual())
			if err := late.Restore(record, time.Hour); err != nil {
				t.Fatal(err)
			}
			pass(2)
			late.want(HalfOpen)
		})
	})
	t.Run("a hundred times", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			r.open()
			current := r
			for range 99 {
				record := current.Snapshot()
				current.Pause()
				pass(100 * time.Millisecond)
				next := newRig(r.t, usual())
				if err := next.Restore(record, 100*time.Millisecond); err != nil {
					t.Fatal(err)
				}
				current = next
			}
			pass(100*time.Millisecond - 1)
			current.want(Open)
			pass(2)
			current.want(HalfOpen)
		})
	})
	t.Run("other settings start closed and say so", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			r.open()
			s := usual()
			s.Probes = 4
			child := newRig(r.t, s)
			err := child.Restore(r.Snapshot(), 0)
			if err == nil || !strings.Contains(err.Error(), "the settings have changed since it was open") {
				t.Errorf("the error is %v", err)
			}
			child.want(Closed)
		})
	})
	t.Run("the child aborts and the parent resumes", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			r.open()
			handOver(r).Stop()
			pass(time.Minute)
			r.want(Open)
			if in := r.rejected().RetryIn; in <= 0 {
				t.Errorf("paused beyond its time, the rejection says %s", in)
			}
			r.Resume()
			pass(2)
			r.want(HalfOpen)
			for range 3 {
				r.call(Success)
			}
			r.want(Closed)
		})
	})
}

// goodRecord is that of an open breaker, as it is made at that time of the bubble.
func goodRecord(t *testing.T, at time.Duration) (record string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		pass(at)
		r := newRig(t, usual())
		r.open()
		record = string(r.Snapshot())
	})
	return record
}

func TestHalfOpen20RecordsThatAreWrongStartClosed(t *testing.T) {
	good := goodRecord(t, 0)
	edit := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%s has no %s", good, old)
		}
		return strings.Replace(good, old, with, 1)
	}
	for name, c := range map[string]struct{ record, says string }{
		"empty":              {"", "read the record"},
		"cut off":            {good[:len(good)/2], "read the record"},
		"newer":              {edit(`"version":2`, `"version":3`), "the record has version 3, this loomd reads 2"},
		"no version":         {`{}`, "version 0"},
		"unknown field":      {edit(`{`, `{"more":1,`), "unknown field"},
		"something follows":  {good + "{}", "read the record"},
		"of another":         {edit(`"users"`, `"files"`), `that of backend "files"`},
		"unknown state":      {edit(`"open"`, `"ajar"`), `unknown state "ajar"`},
		"half-open":          {edit(`"open"`, `"half-open"`), `unknown state "half-open"`},
		"negative remaining": {edit(`"remaining":1`, `"remaining":-1`), "impossible remaining"},
		"remaining, closed":  {edit(`"open"`, `"closed"`), "impossible remaining"},
		"too long":           {edit(`"remaining":1`, `"remaining":10000`), "more than max open for"},
		"negative age":       {edit(`"age":0`, `"age":-1`), "impossible age"},
		"negative count":     {edit(`"consecutive":5`, `"consecutive":-5`), "impossible count"},
		"negative row":       {edit(`"row_age":0`, `"row_age":-1`), "impossible age"},
		"wrong window":       {edit(`"failures":5`, `"failures":6`), "impossible window"},
		"long window":        {edit(`"window":[`, `"window":[`+strings.Repeat(`{},`, 10)), "impossible window"},
		"huge error":         {edit(`UNAVAILABLE`, strings.Repeat("x", 2000)), "an error of 2000 bytes"},
		"huge":               {strings.Repeat(" ", 1<<20), "the record has 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				err := r.Restore([]byte(c.record), 0)
				if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), `backend "users", which starts closed`) {
					t.Errorf("the error is %v, want %q in it", err, c.says)
				}
				r.want(Closed)
				r.went()
				if st := r.Status(); st.Verdicts != 0 || st.Consecutive != 0 || st.LastError != "" {
					t.Errorf("it took %+v", st)
				}
				r.call(Success)
			})
		})
	}
}

func TestHalfOpen21ParentsLateResultsDoNotAlterTheChild(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.halfOpen()
		probes := []Ticket{r.allow(unary{}), r.allow(unary{}), r.allow(unary{})}
		r.Pause()
		child := newRig(r.t, usual())
		if err := child.Restore(r.Snapshot(), 0); err != nil {
			t.Fatal(err)
		}
		pass(2)
		before := child.Status()
		for _, p := range probes {
			r.Done(p, Success, "")
		}
		if after := child.Status(); after != before {
			t.Errorf("the child went from %+v to %+v", before, after)
		}
		r.want(Closed) // the parent lets its last calls pass
		child.want(HalfOpen)
	})
}
