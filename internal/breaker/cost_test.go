package breaker

import (
	"slices"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"
)

// The cost of a call, beside that of the bare two-step breaker: no memory more,
// and at most maxMore.
const maxMore = 150 * time.Nanosecond

func benchBreaker(t testing.TB) *Breaker {
	t.Helper()
	b, err := New(Options{Name: "users", Settings: usual()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b
}

func benchBare() *bareBreaker {
	return bare(func(s *gobreaker.Settings) { s.Interval = time.Minute })
}

func callBare(b *bareBreaker) {
	if done, err := b.Allow(); err == nil {
		done(nil)
	}
}

// callOwn is given the time, as the relay has it at hand.
func callOwn(b *Breaker, now time.Time) {
	if ticket, _, ok := b.Allow(now, nil); ok {
		b.Done(now, &ticket, Success, "")
	}
}

func TestNoMoreMemoryThanTheBareBreaker(t *testing.T) {
	own, bare, now := benchBreaker(t), benchBare(), time.Now()
	a := testing.AllocsPerRun(1000, func() { callBare(bare) })
	b := testing.AllocsPerRun(1000, func() { callOwn(own, now) })
	if b > a {
		t.Errorf("%v allocations a call, the bare breaker has %v", b, a)
	}
}

// BenchmarkCall compares the two in turns, so that both have the same machine,
// and fails if the median of the differences is too large.
func BenchmarkCall(b *testing.B) {
	own, bare, now := benchBreaker(b), benchBare(), time.Now()
	const turns = 1000
	var more, bares []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		t0 := time.Now()
		for range turns {
			callBare(bare)
		}
		t1 := time.Now()
		for range turns {
			callOwn(own, now)
		}
		d := t1.Sub(t0)
		bares = append(bares, d)
		more = append(more, time.Since(t1)-d)
	}
	slices.Sort(more)
	slices.Sort(bares)
	median := more[len(more)/2]
	b.ReportMetric(float64(bares[len(bares)/2])/turns, "ns/bare-call")
	b.ReportMetric(float64(median)/turns, "ns-more/call")
	if median > turns*maxMore {
		b.Errorf("a call costs %s more than with the bare breaker, the budget is %s", median/turns, maxMore)
	}
}

func BenchmarkRejected(b *testing.B) {
	own := benchBreaker(b)
	own.Open("the benchmark")
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		callOwn(own, now)
	}
}
