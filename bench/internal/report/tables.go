package report

import (
	"fmt"
	"io"
	"strconv"

	"loom/bench/internal/peer"
	"loom/bench/internal/stats"
	"loom/bench/internal/suite"
)

func writeLoads(w io.Writer, res suite.Result) error {
	if len(res.Loads) == 0 {
		return nil
	}
	return loads(res).write(w)
}

func writeIdle(w io.Writer, res suite.Result) error {
	if len(res.Idle) == 0 {
		return nil
	}
	return idle(res).write(w)
}

func loads(res suite.Result) *table {
	t := &table{words: 2, header: []string{
		"load", "through", "requests/s", "CPU µs/request", "IQR",
		"fixed rate/s", "CPU µs/request there", "p50 added ms", "p99 added ms", "RSS MiB", "allocs/request",
	}}
	for _, l := range res.Loads {
		direct, _ := res.Cell(l.Row.Name, peer.Direct)
		for _, c := range l.Cells {
			t.add(loadLine(l, c, direct)...)
		}
	}
	t.dropEmpty()
	return t
}

func loadLine(l suite.Load, c, direct suite.Cell) []string {
	line := []string{l.Row.Title, c.Peer, whole(stats.Median(c.PerSecond))}
	if c.Measured {
		line = append(line, number(stats.Median(c.CPU)), number(stats.IQR(c.CPU)))
	} else {
		line = append(line, none, none)
	}
	switch {
	case l.FixedRate == 0:
		line = append(line, none, none, none, none)
	case c.Measured:
		line = append(line, whole(l.FixedRate), number(stats.Median(c.FixedCPU)),
			milliseconds(suite.Added(c.P50, direct.P50)), milliseconds(suite.Added(c.P99, direct.P99)))
	default:
		line = append(line, whole(l.FixedRate), none,
			"("+milliseconds(stats.Median(c.P50))+")", "("+milliseconds(stats.Median(c.P99))+")")
	}
	if c.Measured {
		return append(line, mib(stats.Median(c.RSS)), number(c.Allocs))
	}
	return append(line, none, none)
}

func idle(res suite.Result) *table {
	t := &table{words: 2, header: []string{"load", "through", "RSS MiB", "KiB/idle connection", "KiB/idle stream"}}
	for _, c := range res.Idle {
		t.add(res.IdleRow.Title, c.Peer, mib(c.RSS), kib(c.PerConn), kib(c.PerStream))
	}
	return t
}

// writeMixed writes what was done in the mixed run, and the faults found.
func writeMixed(w io.Writer, res suite.Result) error {
	if res.Mixed == nil {
		return nil
	}
	t := *res.Mixed
	_, err := fmt.Fprintf(w, "Mixed run: %d calls ended well, %d messages came back right, %d calls cancelled, %d connections cut; %d replies wrong, %d lost, %d calls failed.\n",
		t.Calls, t.Messages, t.Cancels, t.Cuts, t.Wrong, t.Lost, t.Failed)
	for _, text := range t.Errors {
		if err == nil {
			_, err = fmt.Fprintf(w, "- %s\n", text)
		}
	}
	return err
}

// writeSteady writes what loomd held before and after the steady run.
func writeSteady(w io.Writer, res suite.Result) error {
	if res.Steady == nil {
		return nil
	}
	st := *res.Steady
	t := &table{words: 1, header: []string{"loomd at rest", "open files", "goroutines", "heap MiB"}}
	add := func(when string, s suite.State) {
		t.add(when, strconv.Itoa(s.FDs), strconv.Itoa(s.Goroutines), mib(s.Heap))
	}
	add(fmt.Sprintf("before %d calls", st.Calls), st.BeforeCalls)
	add("after them", st.AfterCalls)
	add(fmt.Sprintf("before %d connections", st.Connects), st.BeforeConnects)
	add("after them", st.AfterConnects)
	return t.write(w)
}
