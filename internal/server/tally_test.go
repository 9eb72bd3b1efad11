package server

import (
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/callevent"
)

// TestBuckets goes through every bucket: each begins where the one before
// ends, and is at most a quarter of its beginning wide.
func TestBuckets(t *testing.T) {
	from := int64(0)
	for b := range latencyBuckets {
		to := bound(b)
		if to <= from {
			t.Fatalf("bucket %d ends at %d µs, the one before at %d", b, to, from)
		}
		if from >= 4 && 4*(to-from) > from {
			t.Errorf("bucket %d from %d to %d µs is wider than a quarter", b, from, to)
		}
		for _, us := range []int64{from, (from + to) / 2, to - 1} {
			if got := bucket(time.Duration(us) * time.Microsecond); got != b {
				t.Errorf("%d µs are in bucket %d, want %d", us, got, b)
			}
		}
		from = to
	}
	for _, d := range []time.Duration{-time.Hour, -1, 0, 999} {
		if got := bucket(d); got != 0 {
			t.Errorf("%v is in bucket %d, want the first", d, got)
		}
	}
	if got := bucket(math.MaxInt64); got != latencyBuckets-1 {
		t.Errorf("the longest time is in bucket %d, want the last", got)
	}
}

// TestQuantile compares with latencies of which the order is known.
func TestQuantile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		l := new(load)
		// All calls up to the slowest take between 1 µs and about an hour.
		slowest := int64(1)
		for range 1 + rng.IntN(200) {
			us := int64(math.Exp(rng.Float64() * 22))
			slowest = max(slowest, us)
			l.add(&callevent.Summary{Took: time.Duration(us) * time.Microsecond})
		}
		got := l.quantile(1)
		if got < slowest || float64(got) > 1.25*float64(slowest)+1 {
			t.Errorf("the slowest call took %d µs and is shown as %d", slowest, got)
		}
		if p50, p99 := l.quantile(0.5), l.quantile(0.99); p50 > p99 || p99 > got {
			t.Errorf("half of the calls below %d µs, 99%% below %d, all below %d", p50, p99, got)
		}
	}
	if got := new(load).quantile(0.99); got != 0 {
		t.Errorf("without calls: %d µs", got)
	}
	// One slow call in a hundred is not the rule.
	l := new(load)
	for range 99 {
		l.add(&callevent.Summary{Took: time.Millisecond})
	}
	l.add(&callevent.Summary{Took: time.Second})
	for share, most := range map[float64]int64{0.5: 1250, 0.99: 1250, 1: 1_250_000} {
		if got := l.quantile(share); got < most*4/5 || got > most {
			t.Errorf("%v of the calls below %d µs, want about %d", share, got, most*4/5)
		}
	}
}

// TestRate looks at a load now and then: often, and after a long while.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(load)
		look := func(after time.Duration, calls int, want float64) {
			t.Helper()
			for range calls {
				l.add(&callevent.Summary{HasCode: true})
			}
			time.Sleep(after)
			if got := l.view(time.Now()).Rate; got != want {
				t.Errorf("%v calls a second, want %v", got, want)
			}
		}
		look(0, 7, 0) // the first look knows of no time
		look(2*time.Second, 20, 10)
		look(100*time.Millisecond, 500, 10) // too soon for another answer
		look(900*time.Millisecond, 0, 500)
		look(10*time.Second, 0, 0)
	})
}

// TestTally wants calls counted where they belong, and those of nobody passed
// over.
func TestTally(t *testing.T) {
	c := newTally([]string{"all", "denied"}, []string{"users"})
	for _, s := range []callevent.Summary{
		{Route: "all", Backend: "users", HasCode: true, Took: time.Millisecond},
		{Route: "all", Backend: "users", HasCode: true, Code: 14},
		{Route: "all", Backend: "users"}, // ended without a status
		{Route: "denied", HasCode: true, Code: 7},
		{HasCode: true, Code: 12},
		{Route: "gone", Backend: "gone", HasCode: true},
	} {
		c.Ended(&s)
	}
	for name, test := range map[string]struct {
		l             *load
		calls, errors uint64
	}{
		"route all":     {c.routes["all"], 3, 2},
		"route denied":  {c.routes["denied"], 1, 1},
		"backend users": {c.backends["users"], 3, 2},
	} {
		if v := test.l.view(time.Now()); v.Calls != test.calls || v.Errors != test.errors {
			t.Errorf("%s: %d calls and %d errors, want %d and %d", name, v.Calls, v.Errors, test.calls, test.errors)
		}
	}
}
