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
		if err := child.Restore(r.Snapshot()); err != nil {
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
	t.Run("closed keeps totals and failures in a row", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			for range 4 {
				r.call(Failure)
			}
			child := handOver(r)
			if got, want := child.Status().Totals, r.Status().Totals; got != want {
				t.Errorf("totals %+v, want %+v", got, want)
			}
			child.call(Failure)
			child.want(Open)
		})
	})
	t.Run("other settings start closed and say so", func(t *testing.T) {
		inBubble(t, func(r *rig) {
			r.open()
			s := usual()
			s.Probes = 4
			child := newRig(r.t, s)
			err := child.Restore(r.Snapshot())
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
		"newer":              {edit(`"version":1`, `"version":2`), "the record has version 2, this loomd reads 1"},
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
		"huge error":         {edit(`UNAVAILABLE`, strings.Repeat("x", 2000)), "an error of 2000 bytes"},
		"huge":               {strings.Repeat(" ", 1<<20), "the record has 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				err := r.Restore([]byte(c.record))
				if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), `backend "users", which starts closed`) {
					t.Errorf("the error is %v, want %q in it", err, c.says)
				}
				r.want(Closed)
				r.went()
				if totals := r.Status().Totals; totals != (Totals{}) {
					t.Errorf("it took totals %+v", totals)
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
		if err := child.Restore(r.Snapshot()); err != nil {
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
