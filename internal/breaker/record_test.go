package breaker

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// stateBy takes a closed breaker to each of the states.
func stateBy() map[State]func(*rig) {
	return map[State]func(*rig){
		Closed:     func(r *rig) { r.call(Success); r.call(Failure) },
		Open:       (*rig).open,
		HalfOpen:   func(r *rig) { r.halfOpen(); r.call(Success); r.allow(unary{}) },
		ForcedOpen: func(r *rig) { r.open(); r.Open("the operator") },
		Disabled:   func(r *rig) { r.Close("the operator"); r.call(Failure) },
	}
}

// A record makes a breaker that writes the same record, in every state and
// after any history.
func TestRecordsGoRound(t *testing.T) {
	for _, s := range States() {
		t.Run(s.String(), func(t *testing.T) {
			for range 20 {
				roundTrip(t, s, rand.Uint64())
			}
		})
	}
}

func roundTrip(t *testing.T, s State, seed uint64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 1))
		first := newRig(t, usual())
		for range rng.IntN(4) {
			first.call(Verdict(rng.IntN(3)))
			pass(time.Duration(rng.Int64N(int64(time.Minute))))
		}
		for range rng.IntN(3) { // some openings before
			first.Reset("the operator")
			first.open()
		}
		first.Reset("the operator")
		stateBy()[s](first)
		first.want(s)
		pass(time.Duration(rng.Int64N(int64(5 * time.Second))))
		first.want(s)

		record := first.Snapshot()
		second := newRig(t, usual())
		if err := second.Restore(record, 0); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if again := second.Snapshot(); !bytes.Equal(again, record) {
			t.Errorf("seed %d: the record\n%s came back as\n%s", seed, record, again)
		}
		a, b := first.Status(), second.Status()
		if s == HalfOpen {
			pass(2)
			second.want(HalfOpen)
			return
		}
		a.Totals, b.Totals = Totals{}, Totals{} // they stay with who counted
		if a != b {
			t.Errorf("seed %d: it was\n%+v and is\n%+v", seed, a, b)
		}
	})
}

// FuzzRestore holds that no record does harm: it is taken whole, and then makes
// a breaker that works, or it is refused and changes nothing.
func FuzzRestore(f *testing.F) {
	b, err := New(Options{Name: "users", Settings: usual()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b.Snapshot())
	b.Open("the operator")
	f.Add(b.Snapshot())
	b.Auto("the operator")
	for range 5 {
		ticket, _, _ := b.Allow(time.Now(), nil)
		b.Done(time.Now(), &ticket, Failure, "UNAVAILABLE")
	}
	f.Add(b.Snapshot())
	b.Stop()
	f.Add([]byte(`{"version":3}`))
	f.Add([]byte(`{"version":2,"name":"users","state":"half-open"}`))
	f.Fuzz(func(t *testing.T, record []byte) {
		inBubble(t, func(r *rig) {
			before := r.Status()
			if err := r.Restore(record, 0); err != nil {
				if after := r.Status(); after != before {
					t.Fatalf("refused with %v, and yet it went from %+v to %+v", err, before, after)
				}
				r.call(Success)
				return
			}
			again := newRig(r.t, usual())
			written := r.Snapshot()
			if err := again.Restore(written, 0); err != nil {
				t.Fatalf("it was taken, and what it made is not: %v", err)
			}
			if twice := again.Snapshot(); !bytes.Equal(twice, written) {
				t.Fatalf("%s came back as %s", written, twice)
			}
			pass(usual().MaxOpenFor + 2)
			if s := r.Status().State; s == Open {
				t.Fatalf("it is %s for longer than the longest opening", s)
			}
			r.Reset("the operator")
			r.call(Success)
		})
	})
}

// Totals of others are added, also while calls are counted without the lock.
func TestTotalsOfOthers(t *testing.T) {
	inBubble(t, func(r *rig) {
		all := Totals{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
		r.call(Success)
		r.Add(all)
		r.Add(all)
		r.call(Failure)
		if got, want := r.Status().Totals, (Totals{4, 4, 7, 9, 10, 12, 14, 16, 18, 20}); got != want {
			t.Errorf("the totals are %+v, want %+v", got, want)
		}
	})
}
