package load

import (
	"context"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestScheduleIsOneSteadyStream(t *testing.T) {
	start := time.Unix(1000, 0)
	s := Schedule{Start: start, End: start.Add(time.Second), Rate: 100, Workers: 7}
	var all []time.Duration
	for w := range s.Workers {
		for k := 0; ; k++ {
			at, ok := s.Intended(w, k)
			if !ok {
				break
			}
			all = append(all, at.Sub(start))
		}
	}
	slices.Sort(all)
	if len(all) != 100 {
		t.Fatalf("%d requests in a second at 100 a second", len(all))
	}
	for i, at := range all {
		if want := time.Duration(i) * 10 * time.Millisecond; (at - want).Abs() > time.Microsecond {
			t.Errorf("request %d starts at %v, want %v", i, at, want)
		}
	}
}

// One reply takes a second; the requests that were meant to start meanwhile
// must not be left out nor look fast.
func TestWorkCountsFromTheIntendedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().Add(time.Second)
		s := Schedule{Start: start, End: start.Add(2 * time.Second), Rate: 10, Workers: 1}
		calls := 0
		call := func(context.Context) error {
			if calls++; calls == 1 {
				time.Sleep(time.Second)
			}
			return nil
		}
		got, err := work(t.Context(), call, s, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 20 {
			t.Fatalf("%d requests, want 20", len(got))
		}
		for k, latency := range got {
			if want := max(0, 1-0.1*float64(k)); math.Abs(latency-want) > 1e-6 {
				t.Errorf("request %d took %.3f s, want %.3f s", k, latency, want)
			}
		}
	})
}
