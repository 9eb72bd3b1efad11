package server

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/callevent"
	"loom/internal/config"
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
		l := newLoad(time.Time{})
		// All calls up to the slowest take between 1 µs and about an hour.
		slowest := int64(1)
		for range 1 + rng.IntN(200) {
			us := int64(math.Exp(rng.Float64() * 22))
			slowest = max(slowest, us)
			l.add(&callevent.Summary{Took: time.Duration(us) * time.Microsecond})
		}
		got := quantile(l.counts(), 1)
		if got < slowest || float64(got) > 1.25*float64(slowest)+1 {
			t.Errorf("the slowest call took %d µs and is shown as %d", slowest, got)
		}
		if p50, p99 := quantile(l.counts(), 0.5), quantile(l.counts(), 0.99); p50 > p99 || p99 > got {
			t.Errorf("half of the calls below %d µs, 99%% below %d, all below %d", p50, p99, got)
		}
	}
	if got := quantile(newLoad(time.Time{}).counts(), 0.99); got != 0 {
		t.Errorf("without calls: %d µs", got)
	}
	// One slow call in a hundred is not the rule.
	l := newLoad(time.Time{})
	for range 99 {
		l.add(&callevent.Summary{Took: time.Millisecond})
	}
	l.add(&callevent.Summary{Took: time.Second})
	for share, most := range map[float64]int64{0.5: 1250, 0.99: 1250, 1: 1_250_000} {
		if got := quantile(l.counts(), share); got < most*4/5 || got > most {
			t.Errorf("%v of the calls below %d µs, want about %d", share, got, most*4/5)
		}
	}
}

// tallyOf counts for a configuration that knows these names.
func tallyOf(routes, backends []string) *tally { return newTally(namesOnly(routes, backends)) }

func namesOnly(routes, backends []string) *config.Config {
	cfg := new(config.Config)
	for _, name := range routes {
		cfg.Routes = append(cfg.Routes, config.Route{Name: name})
	}
	for _, name := range backends {
		cfg.Backends = append(cfg.Backends, config.Backend{Name: name})
	}
	return cfg
}

// TestRecent looks at a load now and then while its samples are taken.
func TestRecent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tallyOf([]string{"all"}, nil)
		l := c.route("all")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.run(ctx)
		}()
		look := func(after time.Duration, calls, bad int, took time.Duration, rate, share float64, p99 int64) {
			t.Helper()
			for i := range calls {
				l.add(&callevent.Summary{HasCode: i >= bad, Took: took})
			}
			time.Sleep(after)
			v := l.view(time.Now())
			if v.Rate != rate || v.ErrorShare != share || v.P99 != p99 {
				t.Errorf("%v calls a second, %v bad, 99%% below %d µs; want %v, %v, %d", v.Rate, v.ErrorShare, v.P99, rate, share, p99)
			}
		}
		look(0, 0, 0, 0, 0, 0, 0)
		look(100*time.Millisecond, 7, 0, time.Millisecond, 7, 0, 1024) // within the first second
		look(6900*time.Millisecond, 7, 7, time.Millisecond, 2, 0.5, 1024)
		look(time.Minute, 0, 0, 0, 0, 0, 0) // nothing for a while
		look(2*time.Second, 140, 35, 8*time.Millisecond, 10, 0.25, 8192)
		look(12*time.Second, 0, 0, 0, 0, 0, 0)
		if v := l.view(time.Now()); v.Calls != 154 || v.Errors != 42 {
			t.Errorf("%d calls and %d errors in all, want 154 and 42", v.Calls, v.Errors)
		}
		stop()
		<-done
	})
}

// TestTally wants calls counted where they belong, and those of nobody passed
// over.
func TestTally(t *testing.T) {
	c := tallyOf([]string{"all", "denied"}, []string{"users"})
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
		"route all":     {c.route("all"), 3, 2},
		"route denied":  {c.route("denied"), 1, 1},
		"backend users": {c.backend("users"), 3, 2},
	} {
		if v := test.l.view(time.Now()); v.Calls != test.calls || v.Errors != test.errors {
			t.Errorf("%s: %d calls and %d errors, want %d and %d", name, v.Calls, v.Errors, test.calls, test.errors)
		}
	}
}
