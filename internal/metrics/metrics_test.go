package metrics

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"loom/internal/callevent"
	"loom/internal/loomtest"
)

func TestMain(m *testing.M) { os.Exit(loomtest.CheckLeaksMain(m)) }

func codeName(code uint32) string { return "CODE_" + strconv.Itoa(int(code)) }

func options() Options {
	return Options{
		Version:  "1.2.3",
		CodeName: codeName,
		InFlight: func() int { return 3 },
		Draining: func() map[int]int { return map[int]int{7: 2} },
		Capture: func() Capture {
			return Capture{Seen: 11, Kept: 12, Open: 13, Bytes: 14, Calls: 15, Messages: 16, Unredacted: 17, Unshown: 18, Session: 19}
		},
		Breakers: func() []Breaker {
			return []Breaker{{Backend: "users", State: "open", Rejected: 31, Late: 32, ProbeTimeouts: 33}}
		},
		BreakerStates: []string{"closed", "open"},
		Backends: func() []Backend {
			return []Backend{{
				Name: "users", Endpoints: map[string]int{"ready": 41}, InFlight: 42, Waiting: 43, Panic: true, Stale: 44, Ejections: 45, Falls: 46,
			}}
		},
		EndpointStates: []string{"ready", "ejected"},
		Limits: []Limit{
			{"streams_refused", "Streams beyond limits.streams.", func() uint64 { return 21 }},
			{"stream_stalls", "Streams that were stuck.", func() uint64 { return 22 }},
		},
	}
}

func newMetrics(t testing.TB) *Metrics {
	t.Helper()
	m, err := New(options())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// scrape asks as Prometheus does, and returns what its parser makes of it.
func scrape(t *testing.T, m *Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	w := httptest.NewRecorder()
	NewServer(m).handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// value is that of the counter or gauge with the labels, written as
// name=value; ok is false if there is none.
func value(families map[string]*dto.MetricFamily, name string, labels ...string) (v float64, ok bool) {
	for _, x := range families[name].GetMetric() {
		var have []string
		for _, l := range x.GetLabel() {
			have = append(have, l.GetName()+"="+l.GetValue())
		}
		if containsAll(have, labels) {
			return x.GetCounter().GetValue() + x.GetGauge().GetValue(), true
		}
	}
	return 0, false
}

// total is the sum over all labels.
func total(f *dto.MetricFamily) float64 {
	sum := 0.0
	for _, x := range f.GetMetric() {
		sum += x.GetCounter().GetValue()
	}
	return sum
}

func containsAll(have, want []string) bool {
	all := "\x00" + strings.Join(have, "\x00") + "\x00"
	for _, w := range want {
		if !strings.Contains(all, "\x00"+w+"\x00") {
			return false
		}
	}
	return true
}

func wantValue(t *testing.T, families map[string]*dto.MetricFamily, want float64, name string, labels ...string) {
	t.Helper()
	if got, ok := value(families, name, labels...); !ok || got != want {
		t.Errorf("%s%v is %v (there: %v), want %v", name, labels, got, ok, want)
	}
}

func TestScrape(t *testing.T) {
	m := newMetrics(t)
	call := callevent.Summary{
		Route: "all", Backend: "users", Path: "/acme.Users/Get", HasCode: true, Took: 3 * time.Millisecond,
		Up: callevent.Traffic{Bytes: 100}, Down: callevent.Traffic{Bytes: 1000},
	}
	m.Ended(&call)
	call.Took = 2 * time.Second
	m.Ended(&call)
	call.Code = 14
	m.Ended(&call)
	call.HasCode = false
	m.Ended(&call)
	got := scrape(t, m)

	users := []string{"route=all", "backend=users"}
	get := append([]string{"method=/acme.Users/Get"}, users...)
	wantValue(t, got, 2, "loom_calls_total", append(get, "code=CODE_0")...)
	wantValue(t, got, 1, "loom_calls_total", append(get, "code=CODE_14")...)
	wantValue(t, got, 1, "loom_calls_total", append(get, "code=none")...)
	wantValue(t, got, 400, "loom_call_bytes_total", append(users, "direction=up")...)
	wantValue(t, got, 4000, "loom_call_bytes_total", append(users, "direction=down")...)
	wantValue(t, got, 0, "loom_calls_folded_total")
	wantValue(t, got, 3, "loom_calls_in_flight")
	wantValue(t, got, 2, "loom_draining_calls_in_flight", "generation=7")
	wantValue(t, got, 21, "loom_limit_streams_refused_total")
	wantValue(t, got, 22, "loom_limit_stream_stalls_total")
	wantValue(t, got, 1, "loom_build_info", "version=1.2.3")
	for what, n := range map[string]float64{"calls": 15, "messages": 16, "unredacted": 17, "changes": 18, "session": 19} {
		wantValue(t, got, n, "loom_capture_dropped_total", "what="+what)
	}
	wantValue(t, got, 11, "loom_capture_calls_seen_total")
	wantValue(t, got, 12, "loom_capture_calls_kept")
	wantValue(t, got, 13, "loom_capture_calls_open")
	wantValue(t, got, 14, "loom_capture_bytes")
	for _, name := range []string{"go_goroutines", "go_memstats_heap_inuse_bytes", "process_cpu_seconds_total", "process_open_fds"} {
		if got[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	h := got["loom_call_duration_seconds"].GetMetric()[0].GetHistogram()
	for _, b := range h.GetBucket() {
		want := uint64(0)
		switch {
		case b.GetUpperBound() >= 2:
			want = 4
		case b.GetUpperBound() >= 0.003:
			want = 1
		}
		if b.GetCumulativeCount() != want {
			t.Errorf("%d calls took at most %v s, want %d", b.GetCumulativeCount(), b.GetUpperBound(), want)
		}
	}
	if problems, err := testutil.GatherAndLint(m.registry); err != nil || len(problems) > 0 {
		t.Errorf("promtool would say: %v %v", problems, err)
	}
}

// What a caller or a backend chooses makes neither a scrape that cannot be
// read nor a label that it should not.
func TestForeignLabels(t *testing.T) {
	long := "/acme.Users/" + strings.Repeat("x", maxMethodBytes)
	for name, test := range map[string]struct {
		call   callevent.Summary
		labels []string
		folded float64
	}{
		"no route": {
			callevent.Summary{Path: "/chosen/by-the-caller", Code: 12, HasCode: true},
			[]string{"route=", "backend=", "method=unknown", "code=CODE_12"}, 0,
		},
		"not UTF-8": {callevent.Summary{Route: "all", Path: "/\xff\xfe", HasCode: true}, []string{"method=other"}, 1},
		"long":      {callevent.Summary{Route: "all", Path: long, HasCode: true}, []string{"method=other"}, 1},
		"no slash":  {callevent.Summary{Route: "all", Path: "unknown", HasCode: true}, []string{"method=other"}, 1},
		"empty":     {callevent.Summary{Route: "all", HasCode: true}, []string{"method=other"}, 1},
		"quotes and lines": {
			callevent.Summary{Route: "all", Path: "/a\"b\\c\nde", HasCode: true}, []string{"method=/a\"b\\c\nde"}, 0,
		},
		"odd code": {callevent.Summary{Route: "all", Path: "/a/b", Code: 4711, HasCode: true}, []string{"code=other"}, 0},
		"code 17":  {callevent.Summary{Route: "all", Path: "/a/b", Code: 17, HasCode: true}, []string{"code=other"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMetrics(t)
			m.Ended(&test.call)
			m.Ended(&test.call)
			got := scrape(t, m)
			wantValue(t, got, 2, "loom_calls_total", test.labels...)
			wantValue(t, got, 2*test.folded, "loom_calls_folded_total")
		})
	}
}

// However many paths callers make up, the series are bounded, and the sums
// are right.
func TestCap(t *testing.T) {
	m := newMetrics(t)
	const goroutines, each = 4, maxSeries
	var calling sync.WaitGroup
	for g := range goroutines {
		calling.Go(func() {
			for i := range each {
				m.Ended(&callevent.Summary{Route: "all", Backend: "b", Path: fmt.Sprintf("/made.up/Name%d_%d", g, i), HasCode: true})
				m.Ended(&callevent.Summary{Path: fmt.Sprintf("/no.route/Name%d_%d", g, i), Code: 12, HasCode: true})
			}
		})
	}
	calling.Wait()
	got := scrape(t, m)
	if n := len(got["loom_calls_total"].GetMetric()); n > maxSeries+3 {
		t.Errorf("%d series, want at most %d and a few that count many methods", n, maxSeries)
	}
	if sum := total(got["loom_calls_total"]); sum != 2*goroutines*each {
		t.Errorf("%v calls counted of %d", sum, 2*goroutines*each)
	}
	wantValue(t, got, goroutines*each, "loom_calls_total", "method=unknown", "route=")
	others, _ := value(got, "loom_calls_total", "method=other", "route=all")
	wantValue(t, got, others, "loom_calls_folded_total")
	if others < (goroutines-1)*each {
		t.Errorf("only %v calls have a method that is counted with others", others)
	}
	m.Ended(&callevent.Summary{Route: "all", Backend: "b", Path: "/later/One", HasCode: true})
	wantValue(t, scrape(t, m), others+1, "loom_calls_total", "method=other", "route=all")
}

// A configuration with more routes than there may be series loses none of its
// calls either.
func TestCapOfRoutes(t *testing.T) {
	m := newMetrics(t)
	const routes = maxAllSeries + 10
	for i := range routes {
		m.Ended(&callevent.Summary{Route: fmt.Sprintf("r%d", i), Path: "/a/b", HasCode: true})
	}
	families, err := m.registry.Gather() // reading their text takes seconds with the race detector
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "loom_calls_total" {
			continue
		}
		if n := len(f.GetMetric()); n > maxAllSeries+1 {
			t.Errorf("%d series, want at most %d and one for the rest", n, maxAllSeries)
		}
		if sum := total(f); sum != routes {
			t.Errorf("%v calls counted of %d", sum, routes)
		}
		return
	}
	t.Error("there are no calls")
}

// A call costs no memory once its like has been seen.
func TestEndedAllocates(t *testing.T) {
	m := newMetrics(t)
	for name, s := range map[string]*callevent.Summary{
		"seen":     {Route: "all", Backend: "users", Path: "/acme.Users/Get", HasCode: true, Took: time.Millisecond},
		"no route": {Path: "/acme.Users/Get", HasCode: true},
		"folded":   {Route: "all", Path: "/\xff", HasCode: true},
	} {
		if n := testing.AllocsPerRun(1000, func() { m.Ended(s) }); n != 0 {
			t.Errorf("%s: %v allocations for a call", name, n)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	o := options()
	o.Limits = append(o.Limits, o.Limits[0])
	if _, err := New(o); err == nil {
		t.Error("a limit that is there twice: no error")
	}
}

// The version comes from the build, where it may be anything.
func TestVersionOfAnyText(t *testing.T) {
	o := options()
	o.Version, o.Capture = "v1\xff", nil
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	got := scrape(t, m)
	wantValue(t, got, 1, "loom_build_info", "version=v1\uFFFD")
	if got["loom_capture_bytes"] != nil {
		t.Error("figures of capture without one")
	}
}

func BenchmarkEnded(b *testing.B) {
	for name, s := range map[string]callevent.Summary{
		"seen":    {Route: "all", Backend: "users", Path: "/acme.users.v1.Users/GetUser", HasCode: true, Took: time.Millisecond, Up: callevent.Traffic{Bytes: 100}, Down: callevent.Traffic{Bytes: 100}},
		"noroute": {Path: "/acme.users.v1.Users/GetUser", HasCode: true, Took: time.Millisecond},
		"folded":  {Route: "all", Backend: "users", Path: "/\xff", HasCode: true, Took: time.Millisecond},
	} {
		b.Run(name, func(b *testing.B) {
			m := newMetrics(b)
			b.ReportAllocs()
			for b.Loop() {
				m.Ended(&s)
			}
		})
		b.Run(name+"-parallel", func(b *testing.B) {
			m := newMetrics(b)
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				s := s
				for p.Next() {
					m.Ended(&s)
				}
			})
		})
	}
}
