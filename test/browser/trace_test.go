package browser

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/tracing"
	"github.com/chromedp/chromedp"
)

// traceEvent is what the browser reports of one thing that it has done.
type traceEvent struct {
	Name    string  `json:"name"`
	Phase   string  `json:"ph"`
	Process int     `json:"pid"`
	Thread  int     `json:"tid"`
	At      float64 `json:"ts"`   // microseconds
	Took    float64 `json:"dur"`  // microseconds by the clock
	Ran     float64 `json:"tdur"` // microseconds that the thread had a processor
	Args    struct {
		Name string `json:"name"`
	} `json:"args"`
}

func (e traceEvent) took() time.Duration { return time.Duration(e.Took) * time.Microsecond }
func (e traceEvent) ran() time.Duration  { return time.Duration(e.Ran) * time.Microsecond }

// trace collects what the browser reports until end is called.
type trace struct {
	p      *tab
	stop   context.CancelFunc
	whole  chan bool // whether the browser has lost nothing
	mu     sync.Mutex
	events []traceEvent // guarded by mu
	err    error        // guarded by mu
}

// trace begins to record what the browser does.
func (p *tab) trace() *trace {
	p.t.Helper()
	ctx, stop := context.WithCancel(p.ctx)
	tr := &trace{p: p, stop: stop, whole: make(chan bool, 1)}
	if err := chromedp.Listen(ctx, tr.heard); err != nil {
		p.t.Fatal(err)
	}
	call, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	_, err := chromedp.Call(call, tracing.Start, tracing.StartParams{TraceConfig: &tracing.TraceConfig{
		IncludedCategories: []string{"devtools.timeline", "disabled-by-default-devtools.timeline"},
	}})
	if err != nil {
		p.t.Fatalf("begin a trace: %v", err)
	}
	return tr
}

func (tr *trace) heard(event any) {
	switch event := event.(type) {
	case *tracing.EventDataCollected:
		tr.mu.Lock()
		defer tr.mu.Unlock()
		for _, value := range event.Value {
			var e traceEvent
			if err := json.Unmarshal(value, &e); err != nil {
				tr.err = err
				continue
			}
			tr.events = append(tr.events, e)
		}
	case *tracing.EventTracingComplete:
		tr.whole <- !event.DataLossOccurred
	}
}

// end stops the trace and returns what the page's main thread did.
func (tr *trace) end(t *testing.T) []traceEvent {
	t.Helper()
	defer tr.stop()
	ctx, cancel := context.WithTimeout(tr.p.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, tracing.End, cdp.Empty{}); err != nil {
		t.Fatalf("end the trace: %v", err)
	}
	select {
	case whole := <-tr.whole:
		if !whole {
			t.Fatal("the browser has lost a part of the trace")
		}
	case <-ctx.Done():
		t.Fatal("the browser does not send the trace")
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.err != nil {
		t.Fatalf("read the trace: %v", tr.err)
	}
	main := map[string]bool{}
	key := func(e traceEvent) string { return strconv.Itoa(e.Process) + "/" + strconv.Itoa(e.Thread) }
	for _, e := range tr.events {
		if e.Phase == "M" && e.Name == "thread_name" && strings.HasPrefix(e.Args.Name, "CrRendererMain") {
			main[key(e)] = true
		}
	}
	var events []traceEvent
	for _, e := range tr.events {
		if e.Phase == "X" && main[key(e)] {
			events = append(events, e)
		}
	}
	return events
}
