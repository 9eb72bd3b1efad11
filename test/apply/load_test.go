package apply

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"loom/test/daemon"
)

// load is calls that go on until it is stopped, each answer of which is looked
// at.
type load struct {
	running sync.WaitGroup
	stop    context.CancelFunc
	calls   atomic.Int64
	failed  atomic.Int64

	mu    sync.Mutex
	first error // guarded by mu
}

// startLoad makes calls on several connections, some at a time on each.
func startLoad(t *testing.T, address string) *load {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &load{stop: stop}
	for c := range 4 {
		conn := daemon.Dial(t, address)
		for g := range 2 {
			l.running.Go(func() { l.run(ctx, conn, fmt.Sprintf("%d.%d", c, g)) })
		}
	}
	t.Cleanup(func() { l.end() })
	return l
}

func (l *load) run(ctx context.Context, conn *grpc.ClientConn, name string) {
	for i := 0; ctx.Err() == nil; i++ {
		question := fmt.Sprintf("question %s.%d", name, i)
		limited, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		answer, err := call(limited, conn, echoMethod, question)
		cancel()
		l.calls.Add(1)
		if err == nil && !strings.HasSuffix(answer, " "+question) {
			err = fmt.Errorf("%q was answered with %q", question, answer)
		}
		if err != nil {
			l.failed.Add(1)
			l.mu.Lock()
			if l.first == nil {
				l.first = fmt.Errorf("call %s: %w", question, err)
			}
			l.mu.Unlock()
		}
		time.Sleep(2 * time.Millisecond) // the machine has others to serve
	}
}

// end stops the calls and waits for the last of them.
func (l *load) end() {
	l.stop()
	l.running.Wait()
}

// edits is how many there are while calls go on.
const edits = 1000

// A thousand edits of all kinds under load: no call fails, the stream that is
// open all the while goes on, and loomd holds no more in the end than it did.
func TestThousandEdits(t *testing.T) {
	w, p := newWorld(t)
	l := startLoad(t, w.listen)
	open := openChat(t, daemon.Dial(t, w.listen))
	extra := daemon.FreeAddress(t)
	var early daemon.Footprint
	for i := range edits {
		next := edited(w, p, extra, i)
		if i%20 == 19 {
			mark := fmt.Sprintf("limits.continuations: %d", 16+i%900)
			next.rest = strings.Replace(next.rest, "continuations: 16", fmt.Sprintf("continuations: %d", 16+i%900), 1)
			w.edit(next, func() bool { return w.has(mark) })
		} else {
			w.apply(next)
		}
		if i%50 == 0 {
			open.say("first")
		}
		if i == edits/10 {
			early = w.loomd.Footprint(t)
		}
	}
	w.apply(p)
	open.say("first")
	late := w.loomd.Footprint(t)
	open.end()
	l.end()
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d of %d calls failed; the first: %v", n, l.calls.Load(), l.first)
	}
	t.Logf("%d calls; after %d edits %+v, after %d %+v; edits that nobody asked for were seen after %v", l.calls.Load(), edits/10, early, edits, late, w.took)
	if l.calls.Load() < edits {
		t.Errorf("only %d calls", l.calls.Load())
	}
	if late.Goroutines > early.Goroutines+20 || late.Descriptors > early.Descriptors+20 {
		t.Errorf("after %d edits loomd holds %+v, after %d it held %+v", edits, late, edits/10, early)
	}
	if late.HeapInuse > early.HeapInuse+16<<20 {
		t.Errorf("after %d edits the heap has %d bytes, after %d it had %d", edits, late.HeapInuse, edits/10, early.HeapInuse)
	}
}

// edited returns the file after the edit of that number: something of every kind
// changes with it.
func edited(w *world, p parts, extra string, i int) parts {
	pick := func(n int, texts ...string) string { return texts[i/n%len(texts)] }
	if i%3 == 1 {
		p.listeners += fmt.Sprintf(", {name: extra%d, address: %q}", i, extra)
	}
	p.backends = fmt.Sprintf("a: {targets: [%q%s], balance: %s, breaker: {open_for: %s}%s, limits: {pending: %d}}, b%s: {targets: [%q]}",
		w.first, pick(2, "", fmt.Sprintf(", %q", w.other)), pick(5, "round_robin", "least_request"), pick(1, "5s", "6s"),
		pick(4, "", ", outlier: {}", ", keepalive: {interval: 7m}"), 200+i%50, pick(1, "", "1", "2"), w.other)
	b := "b" + pick(1, "", "1", "2")
	p.routes = pick(3, "{name: all, backends: [{name: a, weight: 1}, {name: "+b+", weight: 1}], retry: {max_attempts: 2}}",
		"{name: all, backend: a, timeout: {overall: 20s}}", "{name: no, match: {service: not.This}, deny: NOT_FOUND}, {name: rest, backend: "+b+"}")
	p.rest = fmt.Sprintf("limits: {streams: %d, continuations: 16}\ncapture: {mode: %s, ring: {calls: %d, bytes: %s}, redact: {metadata: [%s]}}\nlog: {level: %s}\n",
		1000+i%7, pick(2, "full", "metadata", "off"), 100+i%100, pick(3, "1MiB", "2MiB", "4MiB"), pick(1, "cookie", "x-other"), pick(6, "info", "warn"))
	return p
}
