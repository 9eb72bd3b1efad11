package server

import (
	"bufio"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"loom/internal/callevent"
)

// counted are the counts that a scrape shows, but for those of the scrapes and
// of the process themselves.
func (r *running) counted() map[string]float64 {
	r.t.Helper()
	_, body := r.look("/metrics")
	all := make(map[string]float64)
	counts := false
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		line := lines.Text()
		if kind, ok := strings.CutPrefix(line, "# TYPE loom_"); ok {
			counts = strings.HasSuffix(kind, " counter") || strings.HasSuffix(kind, " histogram")
		} else if strings.HasPrefix(line, "#") {
			continue
		}
		if i := strings.LastIndexByte(line, ' '); counts && strings.HasPrefix(line, "loom_") && i > 0 {
			n, err := strconv.ParseFloat(line[i+1:], 64)
			if err != nil {
				r.t.Fatal(err)
			}
			all[line[:i]] = n
		}
	}
	return all
}

// heir is a server that goes on from r, though r goes on, too.
func (r *running) heir() *running {
	r.t.Helper()
	core, log := observer.New(zap.DebugLevel)
	s, err := New(r.cfg, Options{Log: zap.New(core), Estate: saveAll(r.t, r.Server)})
	if err != nil {
		r.t.Fatal(err)
	}
	next := run(r.t, s, log)
	next.cfg = r.cfg
	return next
}

// tell has next hear of what r has counted since it was saved.
func (r *running) tell(next *running) {
	r.t.Helper()
	data, err := r.ledger.Report()
	if err == nil {
		err = next.ledger.Take(1, data)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// wantCounted wants next to show what r shows: all of it but the time that calls
// took, which may be rounded up.
func (r *running) wantCounted(next *running) {
	r.t.Helper()
	want, got := r.counted(), next.counted()
	if len(want) < 50 {
		r.t.Fatalf("there are but %d counts", len(want))
	}
	for name, n := range want {
		if strings.Contains(name, "_seconds_sum") {
			if got[name] < n || got[name] > n+1e-5 {
				r.t.Errorf("%s is %v, want %v", name, got[name], n)
			}
		} else if got[name] != n {
			r.t.Errorf("%s is %v, want %v", name, got[name], n)
		}
	}
	now := time.Now()
	for what, l := range map[string][2]*load{
		"route":   {r.watch.tally.route("all"), next.watch.tally.route("all")},
		"backend": {r.watch.tally.backend("b"), next.watch.tally.backend("b")},
	} {
		if want, got := l[0].view(now), l[1].view(now); got.Calls != want.Calls || got.Errors != want.Errors || got.P50 != want.P50 || got.P99 != want.P99 {
			r.t.Errorf("the %s shows %+v, want %+v", what, got, want)
		}
	}
	if want, got := r.now().breakers["b"].Status().Totals, next.now().breakers["b"].Status().Totals; got != want {
		r.t.Errorf("the breaker has %+v, want %+v", got, want)
	}
	eventually(r.t, "the endpoint has its totals", func() bool {
		want, got := r.now().backends["b"].Status().Endpoints[0], next.now().backends["b"].Status().Endpoints
		return len(got) == 1 && got[0].Good == want.Good && got[0].Bad == want.Bad && got[0].Ejections == want.Ejections
	})
	if got, want := next.calls.load(), r.calls.load(); got != want {
		r.t.Errorf("%d calls in all, want %d", got, want)
	}
}

// What was counted is there in the next process, and what the one before counts
// beyond is added.
func TestFiguresGoOn(t *testing.T) {
	var hold sync.Mutex
	first := serve(t, `
listeners: [`+anyPort+`]
backends: {b: {targets: ["`+echo(t, &hold)+`"], breaker: {}}}
routes: [{name: all, backend: b}]
`+metricsAnywhere)
	calls := func(n int) {
		t.Helper()
		for range n {
			if _, err := ask(first.client(0), "/test.Echo/Call", "hello"); err != nil {
				t.Fatal(err)
			}
		}
	}
	calls(5)
	first.counters.H2.Stalls.Add(7)
	eventually(t, "the calls are counted", func() bool { return first.watch.tally.route("all").calls.Load() == 5 })
	second := first.heir()
	first.wantCounted(second)

	calls(3)
	first.counters.H2.Stalls.Add(2)
	eventually(t, "the calls are counted", func() bool { return first.watch.tally.route("all").calls.Load() == 8 })
	first.tell(second)
	first.tell(second)
	first.wantCounted(second)
}

// Calls that are open in an older process are in flight, while it lives.
func TestOpenCallsOfOlderProcesses(t *testing.T) {
	var hold sync.Mutex
	first := serve(t, oneBackend(echo(t, &hold), anyPort)+metricsAnywhere)
	second := first.heir()
	hold.Lock()
	asked := make(chan error, 1)
	cc := first.client(0)
	go func() {
		_, err := ask(cc, "/test.Echo/Call", "hello")
		asked <- err
	}()
	first.wantFigure(`loom_backend_in_flight{backend="b"} 1`)
	first.tell(second)
	second.wantFigure("loom_calls_in_flight 1")
	second.wantFigure(`loom_backend_in_flight{backend="b"} 1`)
	second.wantFigure(`loom_draining_calls_in_flight{generation="1"} 1`)
	second.ledger.Gone(1)
	second.wantFigure("loom_calls_in_flight 0")
	if _, body := second.look("/metrics"); strings.Contains(body, "loom_draining_calls_in_flight{") {
		t.Error("a process that has ended is shown")
	}
	hold.Unlock()
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
}

// The figures of the moment go on where they were, and old counts are no calls
// of this moment.
func TestRecentFiguresGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, cold := tallyOf([]string{"all"}, nil), tallyOf([]string{"all", "new"}, nil), tallyOf([]string{"all"}, nil)
		l := first.route("all")
		for range 4 {
			for range 10 {
				l.add(&callevent.Summary{HasCode: true, Took: 3 * time.Millisecond})
				l.add(&callevent.Summary{Took: 3 * time.Second})
			}
			time.Sleep(samplePeriod)
			l.tick(time.Now())
		}
		from := first.recent()
		time.Sleep(time.Second) // that the way takes
		for _, to := range []*tally{second, cold} {
			first.Count(func(n uint64, key ...string) { to.Add(n, key...) })
		}
		second.goOn(from, time.Second)
		cold.goOn(nil, time.Second)
		now := time.Now()
		if got, want := second.route("all").view(now), l.view(now); got != want || want.P99 == 0 || want.Rate == 0 {
			t.Errorf("it shows %+v, want %+v", got, want)
		}
		if v := second.route("new").view(now); v.Calls != 0 {
			t.Errorf("a new route shows %+v", v)
		}
		if v := cold.route("all").view(now); v.Calls != 80 || v.Errors != 40 || v.Rate != 0 || v.P99 != 0 {
			t.Errorf("without samples it shows %+v", v)
		}
	})
}

// Samples that cannot be of what was counted are left out.
func TestWrongSamples(t *testing.T) {
	good := sampleRecord{Age: time.Second, Calls: 5, Errors: 1, Took: map[int]uint64{3: 5}}
	for name, c := range map[string]struct {
		samples []sampleRecord
		calls   uint64 // since the oldest sample
	}{
		"good":          {[]sampleRecord{good, good}, 5},
		"none":          {nil, 0},
		"too many":      {[]sampleRecord{good, good, good, good}, 0},
		"of the future": {[]sampleRecord{{Age: -time.Minute}}, 0},
		"out of order":  {[]sampleRecord{good, {Age: time.Hour, Calls: 5, Errors: 1, Took: good.Took}}, 0},
		"falls":         {[]sampleRecord{good, {Calls: 4}}, 0},
		"more calls":    {[]sampleRecord{{Calls: 11}}, 0},
		"more errors":   {[]sampleRecord{{Errors: 11}}, 0},
		"more in one":   {[]sampleRecord{{Calls: 5, Took: map[int]uint64{3: 11}}}, 0},
		"no bucket":     {[]sampleRecord{{Took: map[int]uint64{latencyBuckets: 0}}}, 0},
		"negative":      {[]sampleRecord{{Took: map[int]uint64{-1: 0}}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			all := tallyOf([]string{"all"}, nil)
			for key, n := range map[string]uint64{loadCalls: 10, loadErrors: 2, "3": 10} {
				all.Add(n, ofRoutes, "all", key)
			}
			all.goOn(recent{ofRoutes: {"all": c.samples}}, 0)
			if got := all.route("all").calls.Load() - all.route("all").samples[0].calls; got != c.calls {
				t.Errorf("%d calls since the oldest sample, want %d", got, c.calls)
			}
			all.route("all").view(time.Now())
		})
	}
}

// What is no key of a source changes nothing.
func TestForeignFigures(t *testing.T) {
	r := serve(t, guardedBackend+metricsAnywhere)
	before := r.counted()
	for _, key := range []string{"", "calls", `limits\nno_such`, `tally\nroutes\nall\nx`, `tally\nnobody\nall\ncalls`, `tally\nroutes\ngone\ncalls`,
		`capture\nx`, `breakers\nb`, `breakers\ngone\nallowed`, `breakers\nb\nx`, `backends\ngone\nfalls`, `endpoints\nb\nx`, `endpoints\ngone\ne\ngood`, "metrics", `nobody\nx`} {
		if err := r.restoreFigures([]byte(`{"ledger":{"counts":{"`+key+`":3}}}`), 0); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	if after := r.counted(); !maps.Equal(after, before) {
		t.Errorf("%v\nbecame\n%v", before, after)
	}
}

// FuzzRecentFigures holds that no record does harm. The counts beside it are
// ledger's to read.
func FuzzRecentFigures(f *testing.F) {
	f.Add([]byte(`{"recent":{"routes":{"all":[{"age":1000,"calls":1,"errors":1,"took":{"3":1}}]}},"ledger":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r figuresRecord
		if json.Unmarshal(data, &r) != nil {
			return
		}
		all := tallyOf([]string{"all"}, []string{"b"})
		all.Add(3, ofRoutes, "all", loadCalls)
		all.goOn(r.Recent, 0)
		for range 4 {
			if v := all.route("all").view(time.Now()); v.Rate < 0 || v.Rate > 3 {
				t.Fatalf("%s makes %+v", data, v)
			}
			all.route("all").tick(time.Now())
		}
	})
}
