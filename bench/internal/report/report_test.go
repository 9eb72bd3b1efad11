package report

import (
	"math"
	"strings"
	"testing"
	"time"

	"loom/bench/internal/mixed"
	"loom/bench/internal/peer"
	"loom/bench/internal/row"
	"loom/bench/internal/suite"
)

func TestTable(t *testing.T) {
	tab := &table{words: 1, header: []string{"through", "µs", "unknown"}}
	tab.add("tcp", "3.0", none)
	tab.add("haproxy", "12.25", none)
	tab.dropEmpty()
	var b strings.Builder
	if err := tab.write(&b); err != nil {
		t.Fatal(err)
	}
	want := `| through |    µs |
| ------- | ----: |
| tcp     |   3.0 |
| haproxy | 12.25 |
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0.00", 0.5012: "0.501", 1.234: "1.23", -12.34: "-12.3", 1234.5: "1234"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
	if got := number(math.NaN()); got != none {
		t.Errorf("number(NaN) = %q, want %q", got, none)
	}
}

// result has loomd keep its promise against haproxy and break the one against tcp.
func result() suite.Result {
	return suite.Result{
		Steady: &suite.Steady{
			Calls: 1000, Connects: 10,
			BeforeCalls: suite.State{FDs: 10, Goroutines: 20, Heap: 4 << 20}, AfterCalls: suite.State{FDs: 10, Goroutines: 20, Heap: 5 << 20},
			BeforeConnects: suite.State{FDs: 10, Goroutines: 20, Heap: 5 << 20}, AfterConnects: suite.State{FDs: 30, Goroutines: 10, Heap: 5 << 20},
		},
		Mixed:   &mixed.Tally{Calls: 7, Wrong: 1, Lost: 2, Failed: 3, Errors: []string{"reply 3 differs"}},
		IdleRow: row.Row{Title: "idle", Kind: row.Idle},
		Idle:    []suite.Idle{{Peer: peer.Loomd, RSS: 50 << 20, PerConn: 20 << 10, PerStream: 3 << 10}},
		Loads: []suite.Load{{
			Row:       row.Row{Name: "1x100", Title: "small", Kind: row.Unary, Body: 100},
			FixedRate: 1000,
			Cells: []suite.Cell{
				{Peer: peer.Direct, PerSecond: []float64{100}, CPU: []float64{0}, P50: []float64{0.001}, P99: []float64{0.002}, Allocs: math.NaN()},
				{Peer: peer.TCP, Measured: true, PerSecond: []float64{90}, CPU: []float64{1, 1}, P50: []float64{0.001}, P99: []float64{0.002}, Allocs: math.NaN()},
				{Peer: peer.Loomd, Measured: true, PerSecond: []float64{80}, CPU: []float64{4, 6}, P50: []float64{0.0015}, P99: []float64{0.004}, Allocs: 2},
				{Peer: peer.HAProxy, Measured: true, PerSecond: []float64{70}, CPU: []float64{10, 20}, P50: []float64{0.002}, P99: []float64{0.005}, Allocs: math.NaN()},
			},
		}},
	}
}

func TestTargets(t *testing.T) {
	got := make(map[string]Target)
	for _, p := range Targets(result()) {
		got[p.What] = p
	}
	for what, want := range map[string]struct {
		got float64
		met bool
	}{
		"CPU of loomd against haproxy, 1x100":                        {0.35, true}, // median of 0.4 and 0.3
		"CPU of loomd against tcp, 1x100":                            {5, false},
		"allocations of loomd per request, 1x100":                    {2, true},
		"KiB of loomd per idle connection":                           {20, true},
		"KiB of loomd per open idle stream":                          {3, false},
		"open files of loomd after 1000 calls, of before":            {1, true},
		"goroutines of loomd after 1000 calls, of before":            {1, true},
		"heap of loomd after 1000 calls, of before":                  {1.25, false},
		"open files of loomd after 10 connections, of before":        {3, false},
		"goroutines of loomd after 10 connections, of before":        {0.5, true},
		"heap of loomd after 10 connections, of before":              {1, true},
		"wrong, lost or duplicated messages and failed calls, mixed": {6, false},
	} {
		p, ok := got[what]
		if !ok {
			t.Errorf("%s: missing", what)
			continue
		}
		if math.Abs(p.Got-want.got) > 1e-9 || p.Met() != want.met {
			t.Errorf("%s: got %v, kept %v; want %v, %v", what, p.Got, p.Met(), want.got, want.met)
		}
		delete(got, what)
	}
	for what := range got {
		t.Errorf("%s: its peer was not measured", what)
	}
}

func TestAnUnknownFigureKeepsNoPromise(t *testing.T) {
	if (Target{Got: math.NaN(), AtMost: 4}).Met() {
		t.Error("NaN keeps a promise")
	}
}

func TestDocument(t *testing.T) {
	var b strings.Builder
	d := Document{
		Date:    time.Date(2030, 1, 2, 3, 4, 0, 0, time.UTC),
		Machine: "a machine",
		Result:  result(),
	}
	if err := d.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2030-01-02 03:04 UTC", "- Machine: a machine",
		"| small | loomd   |         80 |           5.00 |", // requests and median CPU
		"(1.00)",    // latency of the direct connection itself
		"| 0.500 |", // added by loomd at p50, in ms
		"after them | 30 | 10 | 5.00 |", "- reply 3 differs",
		"| **no** |", // a promise not kept
	} {
		if !strings.Contains(strings.Join(strings.Fields(b.String()), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestMachine(t *testing.T) {
	got, err := Machine()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got, "Linux") {
		t.Errorf("got %q", got)
	}
}
