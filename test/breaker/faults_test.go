package breaker

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"loom/test/daemon"
)

// settle is how much later than the breaker's decision its line in the log and
// calls that were under way may be.
const settle = 100 * time.Millisecond

// fault is something that happens to a backend, and its end.
type fault struct {
	name  string
	start func(b *backend)
	end   func(b *backend)
	seen  []string // what callers may see before the breaker opens
	blind bool     // the process cannot tell when calls came
}

func mood(m string) func(*backend) { return func(b *backend) { b.tell(m) } }

var faults = []fault{
	{name: "answers with errors", start: mood(failing), end: mood(well), seen: []string{"Internal"}},
	{name: "hangs", start: mood(hanging), end: mood(well), seen: []string{"DeadlineExceeded"}},
	{name: "answers slowly", start: mood(slow), end: mood(well), seen: []string{"DeadlineExceeded"}},
	{name: "resets connections", start: mood(resetting), end: mood(well), seen: []string{"Unavailable", "Unavailable BACKEND_LOST", "Unavailable BACKEND_UNREACHABLE"}},
	{
		name: "is stopped", blind: true, seen: []string{"DeadlineExceeded"},
		start: func(b *backend) { b.Signal(syscall.SIGSTOP) },
		end:   func(b *backend) { b.Signal(syscall.SIGCONT) },
	},
	{
		name: "dies and comes back", blind: true, seen: []string{"Unavailable", "Unavailable BACKEND_LOST", "Unavailable BACKEND_UNREACHABLE"},
		start: (*backend).Kill,
		end:   (*backend).start,
	},
}

// TestFaults has a backend fail under 2,000 calls a second, and get well again.
func TestFaults(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			b := startBackend(t, daemon.FreeAddress(t), daemon.FreeAddress(t))
			l := startLoomd(t, fmt.Sprintf("{main: {targets: [%q], breaker: %s}}", b.service, settings), "[{name: all, backend: main}]")
			c := startCallers(t, l.address, 40, 20*time.Millisecond)
			l.Await(t, "calls are answered", func() bool { return c.saw(time.Time{}, time.Now())["OK"] > 200 })
			if m := l.moves("main"); len(m) > 0 {
				t.Fatalf("the breaker of a good backend moved: %+v", m)
			}

			began := time.Now()
			f.start(b)
			opened := l.awaitMove("main", "open", began)
			time.Sleep(3 * openFor) // some half-open spells
			ended := time.Now()
			f.end(b)
			closed := l.awaitMove("main", "closed", ended)
			time.Sleep(500 * time.Millisecond)
			c.end()
			l.judge(f, b, c, began, opened.At, ended, closed.At)
		})
	}
}

// judge holds what happened against what a breaker is for.
func (l *loomd) judge(f fault, b *backend, c *callers, began, opened, ended, closed time.Time) {
	t := l.t
	t.Helper()
	before, during, after := c.saw(began, opened), c.saw(opened.Add(settle), ended.Add(-settle)), c.saw(closed.Add(settle), time.Now())
	t.Logf("opened after %s, closed %s after the backend was back", opened.Sub(began).Round(time.Millisecond), closed.Sub(ended).Round(time.Millisecond))
	t.Logf("callers saw until it opened: %v; until the backend was back: %v; once it was closed: %v", before, during, after)
	if n := c.wrong.Load(); n != 0 {
		t.Errorf("%d answers were not those to the question", n)
	}
	for saw := range before {
		if saw != "OK" && saw != "Unavailable BREAKER_OPEN" && !slices.Contains(f.seen, saw) {
			t.Errorf("a caller saw %s, want one of %v", saw, f.seen)
		}
	}
	for saw := range after {
		if saw != "OK" {
			t.Errorf("once the breaker was closed a caller saw %s", saw)
		}
	}
	spells := 0
	for _, m := range l.moves("main") {
		if m.To == "half-open" && m.At.Before(closed) {
			spells++
		}
	}
	if spells < 2 {
		t.Errorf("%d half-open spells, want some", spells)
	}
	passed := 0
	for saw, n := range during {
		if saw != "Unavailable BREAKER_OPEN" && saw != "Unavailable BREAKER_HALF_OPEN" {
			passed += n
		}
	}
	if passed > probes*spells {
		t.Errorf("%d calls passed the breaker in %d half-open spells of %d probes", passed, spells, probes)
	}
	if most := time.Second + 2*openFor; closed.Sub(ended) > most {
		t.Errorf("it took %s to close, want at most %s", closed.Sub(ended), most)
	}
	if all := c.rejected(); len(all) > 0 {
		t.Logf("%d calls were refused, in %s (median) as their caller saw it", len(all), all[len(all)/2])
	}
	if !f.blind {
		l.judgeArrivals(b.tell(""), opened, closed)
	}
}

// judgeArrivals looks when calls came to the backend, from the opening of its
// breaker on.
func (l *loomd) judgeArrivals(arrivals []time.Time, opened, closed time.Time) {
	l.t.Helper()
	between := func(from, to time.Time) int {
		n := 0
		for _, at := range arrivals {
			if at.After(from) && at.Before(to) {
				n++
			}
		}
		return n
	}
	all := l.moves("main")
	total := 0
	for i, m := range all {
		if m.At.Before(opened) || !m.At.Before(closed) || i+1 == len(all) {
			continue
		}
		next := all[i+1].At
		switch m.To {
		case "open":
			// The line may be a little late: the calls under way came before
			// the decision, those of the next spell after it.
			if n := between(m.At.Add(settle), next.Add(-settle)); n > 0 {
				l.t.Errorf("%d calls came to the backend while the breaker was open", n)
			}
		case "half-open":
			n := between(m.At.Add(-settle), next.Add(settle))
			if all[i+1].To == "closed" {
				continue // and then everybody comes
			}
			total += n
			if n > probes {
				l.t.Errorf("%d calls came to the backend in a half-open spell, want at most %d", n, probes)
			}
		}
	}
	l.t.Logf("%d calls came to the backend from its breaker's opening until the one that closed it", total)
}
