package h2

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The heap gives out alarms as a sorted list would, whatever is set, moved
// and taken back in between.
func TestAlarmsComeInOrder(t *testing.T) {
	start := time.Now()
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0))
		h := alarms{epoch: start, armed: 1} // as if a timer were set already
		at := make(map[*alarm]time.Time)
		all := make([]*alarm, 1+rng.IntN(60))
		for i := range all {
			all[i] = new(alarm)
		}
		for range 300 {
			a := all[rng.IntN(len(all))]
			if rng.IntN(3) == 0 {
				h.clear(a)
				delete(at, a)
			} else {
				at[a] = start.Add(time.Duration(1+rng.IntN(50)) * time.Second)
				h.set(a, at[a], nil)
			}
			if len(h.heap) != len(at) {
				t.Fatalf("seed %d: %d alarms are set, want %d", seed, len(h.heap), len(at))
			}
		}
		now := start.Add(25 * time.Second)
		var want, got []time.Time
		for _, t := range at {
			if !t.After(now) {
				want = append(want, t)
			}
		}
		slices.SortFunc(want, time.Time.Compare)
		for a := h.due(now); a != nil; a = h.due(now) {
			got = append(got, at[a])
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %d alarms due, want %d, in order", seed, len(got), len(want))
		}
	}
}

// One timer serves all alarms: it fires for the earliest, and not at all for
// one that was taken back.
func TestAlarmsTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		h := alarms{epoch: start}
		rang := make(chan time.Duration, 10)
		var mu sync.Mutex // as that of the connection
		var fire func()
		fire = func() {
			mu.Lock()
			defer mu.Unlock()
			for h.due(time.Now()) != nil {
				rang <- time.Since(start)
			}
			h.fired(fire)
		}
		var late, early, never, moved alarm
		mu.Lock()
		h.set(&late, start.Add(time.Minute), fire)
		h.set(&never, start.Add(2*time.Second), fire)
		h.set(&early, start.Add(5*time.Second), fire)
		h.set(&moved, start.Add(3*time.Second), fire)
		h.clear(&never)
		h.clear(&never) // twice is no harm
		h.set(&moved, start.Add(10*time.Second), fire)
		mu.Unlock()
		for _, want := range []time.Duration{5 * time.Second, 10 * time.Second, time.Minute} {
			if got := <-rang; got != want {
				t.Errorf("an alarm rang after %v, want %v", got, want)
			}
		}
		mu.Lock()
		h.set(&late, time.Now().Add(time.Second), fire)
		h.stop()
		mu.Unlock()
		time.Sleep(time.Hour)
		if len(rang) > 0 {
			t.Error("an alarm rang that should not have")
		}
	})
}
