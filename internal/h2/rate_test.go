package h2

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	take := func(b *bucket, at time.Duration) (taken int) {
		for range 100 {
			if b.take(start.Add(at)) {
				taken++
			}
		}
		return taken
	}
	b := newBucket(Rate{Burst: 10, PerSecond: 2})
	for _, step := range []struct {
		at   time.Duration
		want int
	}{
		{0, 10},                      // the burst
		{400 * time.Millisecond, 0},  // less than one token
		{500 * time.Millisecond, 1},  // what comes in pieces adds up
		{3500 * time.Millisecond, 6}, // the rate
		{time.Hour, 10},              // no more than the burst
	} {
		if got := take(&b, step.at); got != step.want {
			t.Errorf("at %v: %d tokens, want %d", step.at, got, step.want)
		}
	}
	none := newBucket(Rate{})
	if got := take(&none, 0) + take(&none, time.Hour); got != 0 {
		t.Errorf("a rate of nothing gave %d", got)
	}
}
