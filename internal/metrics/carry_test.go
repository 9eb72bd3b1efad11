package metrics

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"loom/internal/callevent"
)

// handOn adds all that one has counted to another.
func handOn(from, to *Metrics) {
	from.Count(func(n uint64, key ...string) { to.Add(n, key...) })
}

// counted are the families whose counts Metrics keeps itself.
func counted(t *testing.T, m *Metrics) map[string]string {
	t.Helper()
	all := make(map[string]string)
	families := scrape(t, m)
	for _, name := range []string{"loom_calls_total", "loom_call_duration_seconds", "loom_call_bytes_total", "loom_calls_folded_total", "loom_breaker_transitions_total"} {
		all[name] = fmt.Sprint(families[name].GetMetric())
	}
	return all
}

func (m *Metrics) some(rng *rand.Rand) {
	for range 200 {
		m.Ended(&callevent.Summary{
			Route: fmt.Sprint("r", rng.IntN(3)), Backend: fmt.Sprint("b", rng.IntN(2)), Path: fmt.Sprintf("/s/%d", rng.IntN(5)),
			HasCode: rng.IntN(10) > 0, Code: uint32(rng.IntN(20)), Took: time.Duration(rng.ExpFloat64() * float64(time.Second)),
			Up: callevent.Traffic{Bytes: rng.Uint64N(1000)}, Down: callevent.Traffic{Bytes: rng.Uint64N(1000)},
		})
	}
	m.Ended(&callevent.Summary{Path: "/no/route"})
	m.Ended(&callevent.Summary{Route: "r0", Path: strings.Repeat("/", maxMethodBytes+1), Took: time.Hour})
	m.BreakerMoved("b0", "closed", "open")
}

// What three processes counted is what one would have counted.
func TestCarry(t *testing.T) {
	all, last := newMetrics(t), newMetrics(t)
	for seed := range uint64(3) {
		m := newMetrics(t)
		m.some(rand.New(rand.NewPCG(seed, 1)))
		all.some(rand.New(rand.NewPCG(seed, 1)))
		handOn(m, last)
	}
	want, got := counted(t, all), counted(t, last)
	for name := range want {
		if name == "loom_call_duration_seconds" {
			continue
		}
		if got[name] != want[name] {
			t.Errorf("%s is\n%s\nwant\n%s", name, got[name], want[name])
		}
	}
	wantTook, gotTook := scrape(t, all), scrape(t, last)
	for i, w := range wantTook["loom_call_duration_seconds"].GetMetric() {
		g := gotTook["loom_call_duration_seconds"].GetMetric()[i]
		if more := g.GetHistogram().GetSampleSum() - w.GetHistogram().GetSampleSum(); more < 0 || more > 1e-5 {
			t.Errorf("the sum is %v too much", more)
		}
		w.Histogram.SampleSum, g.Histogram.SampleSum = nil, nil
		if g.String() != w.String() {
			t.Errorf("latencies are\n%v\nwant\n%v", g, w)
		}
	}
	again := newMetrics(t)
	handOn(last, again)
	if got, want := counted(t, again), counted(t, last); got["loom_call_duration_seconds"] != want["loom_call_duration_seconds"] {
		t.Errorf("what was handed on twice is\n%s\nwant\n%s", got["loom_call_duration_seconds"], want["loom_call_duration_seconds"])
	}
}

// The sum of latencies is never shown as less than it was.
func TestCarriedSumsDoNotFall(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	shown := 0.0
	m := newMetrics(t)
	for range 100 {
		m.Ended(&callevent.Summary{Route: "r", Backend: "b", Path: "/a/b", Took: time.Duration(rng.Int64N(int64(time.Millisecond)))})
		next := newMetrics(t)
		handOn(m, next)
		m = next
		var h *dto.Histogram
		for _, x := range scrape(t, m)["loom_call_duration_seconds"].GetMetric() {
			h = x.GetHistogram()
		}
		if h.GetSampleSum() < shown {
			t.Fatalf("%v after %v", h.GetSampleSum(), shown)
		}
		shown = h.GetSampleSum()
	}
}

// The bounds hold for what came from other processes, too, and nothing is lost
// from the sums.
func TestCapOfCarried(t *testing.T) {
	m := newMetrics(t)
	for p := range 3 {
		other := newMetrics(t)
		for i := range maxSeries {
			other.Ended(&callevent.Summary{Route: fmt.Sprint("r", p), Backend: "b", Path: fmt.Sprintf("/%d/%d", p, i), HasCode: true, Took: time.Second})
		}
		handOn(other, m)
	}
	for i := range 3 * maxAllSeries {
		m.Add(1, countCalls, fmt.Sprint("x", i), "b", "/a/b", "CODE_0")
		m.Add(1, countTook, fmt.Sprint("x", i), "b", "3")
		m.Add(1, countMoved, fmt.Sprint("x", i), "closed", "open")
	}
	families := scrape(t, m)
	if n := len(families["loom_calls_total"].GetMetric()); n > maxAllSeries+1 {
		t.Errorf("%d series", n)
	}
	if got := total(families["loom_calls_total"]); got != 3*maxSeries+3*maxAllSeries {
		t.Errorf("%v calls", got)
	}
	if n := len(families["loom_call_duration_seconds"].GetMetric()) + len(families["loom_breaker_transitions_total"].GetMetric()); n > 3*maxAllSeries {
		t.Errorf("%d series of latencies and breakers", n)
	}
}

// Keys that another version may have had are left alone.
func TestForeignKeys(t *testing.T) {
	m := newMetrics(t)
	before := counted(t, m)
	for _, key := range [][]string{
		{}, {""}, {"calls"}, {"calls", "r", "b", "/m/m", "no such code"}, {"took", "r", "b", "x"}, {"bytes", "r", "b", "sideways"}, {"folded", "more"}, {"moved"},
	} {
		m.Add(1, key...)
	}
	m.Add(1, countTook, "r", "b", "-1")
	m.Add(1, countTook, "r", "b", "99")
	if after := counted(t, m); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("%v became %v", before, after)
	}
}
