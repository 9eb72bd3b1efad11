package browser

import (
	"fmt"
	"testing"
	"time"
)

// What the page may cost at 1,000 calls a second.
const (
	longestTask = 50 * time.Millisecond
	mostNodes   = 1500 // of the document
	capacity    = 10000
)

// watchPage notes the tasks of the page that are over 50 ms, which is what the
// browser calls a long task, and the most nodes that the document has had.
const watchPage = `(window.watched = {tasks: [], nodes: 0},
	new PerformanceObserver(list => watched.tasks.push(...list.getEntries().map(e => Math.round(e.duration)))).observe({type: 'longtask'}),
	setInterval(() => { watched.nodes = Math.max(watched.nodes, document.getElementsByTagName('*').length) }, 250))`

// A task is judged by how long it had a processor. By the clock it also waits
// for one, which it shares here with the client, loomd, the backend and the
// part of the browser that draws without a graphics card; those times are
// printed.
func TestTenThousandRowsAtAThousandASecond(t *testing.T) {
	d := startRelay(t, startBackend(t))
	p := open(t, d.url)
	p.await("the page waits for the first call", `document.querySelector('#blank').dataset.state === 'waiting'`)
	client := dial(t, d.listen)
	// Code that has never run is compiled first, which is the start of the page
	// and not what it costs.
	pings(t, client, 500, 1000)
	p.await("the first calls are shown", rows+`.length > 2`)

	p.run(watchPage)
	trace := p.trace()
	pings(t, client, capacity, 1000)
	p.await("the list is full", fmt.Sprintf(`Number(document.querySelector('#calls-grid').getAttribute('aria-rowcount')) > %d`, capacity))
	nodes := eval[int](p, "watched.nodes")
	waits := eval[[]int](p, "watched.tasks")

	tasks, most, slowest := 0, time.Duration(0), time.Duration(0)
	for _, e := range trace.end(t) {
		if e.Name != "RunTask" {
			continue
		}
		tasks++
		most, slowest = max(most, e.ran()), max(slowest, e.took())
		if e.ran() > longestTask {
			t.Errorf("a task ran for %v, %v by the clock; at most %v", e.ran(), e.took(), longestTask)
		}
	}
	t.Logf("%d tasks: the longest ran for %v, or %v by the clock; %d waited past 50 ms; at most %d nodes", tasks, most, slowest, len(waits), nodes)
	if tasks < 100 {
		t.Errorf("the trace has only %d tasks, so it says nothing", tasks)
	}
	if nodes == 0 || nodes > mostNodes {
		t.Errorf("the document has had %d nodes, want 1 to %d", nodes, mostNodes)
	}
}
