//go:build linux

package restart

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// counts are what somebody saw at one time, by name.
type counts map[string]float64

// watcher looks at counts again and again, and remembers what fell.
type watcher struct {
	t    *testing.T
	stop context.CancelFunc
	done sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	seen  map[string]counts // by who looks
	looks int
	falls []string
}

// watch has each of them look until the watcher is ended.
func watch(t *testing.T, pause time.Duration, who map[string]func(ctx context.Context) (counts, error)) *watcher {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &watcher{t: t, stop: stop, seen: make(map[string]counts)}
	for name, look := range who {
		w.done.Go(func() {
			for ctx.Err() == nil {
				now, err := look(ctx)
				if err != nil && ctx.Err() == nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				if err == nil {
					w.compare(name, now)
				}
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	t.Cleanup(w.end)
	return w
}

func (w *watcher) end() {
	w.stop()
	w.done.Wait()
}

// compare notes what is less than it was, or is not there any more.
func (w *watcher) compare(who string, now counts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	for name, before := range w.seen[who] {
		if n, ok := now[name]; (!ok && before > 0 || n < before) && len(w.falls) < 20 {
			w.falls = append(w.falls, fmt.Sprintf("%s: %s fell from %v to %v", who, name, before, n))
		}
	}
	w.seen[who] = now
}

// want wants that nothing fell, and that somebody looked often enough.
func (w *watcher) want(looks int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, fall := range w.falls {
		w.t.Error(fall)
	}
	if w.looks < looks {
		w.t.Errorf("looked but %d times", w.looks)
	}
}

// scraper looks at /metrics, on a connection that it keeps or on new ones.
func scraper(address string, keep bool) func(context.Context) (counts, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: !keep}, Timeout: 10 * time.Second}
	return func(ctx context.Context) (counts, error) {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", http.NoBody)
		if err != nil {
			return nil, err
		}
		answer, err := client.Do(q)
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("status %d", answer.StatusCode)
		}
		return parseMetrics(answer.Body)
	}
}

// parseMetrics returns the counters and histograms of loom's own: the others
// are of the process that answers.
func parseMetrics(r io.Reader) (counts, error) {
	all, counting := make(counts), false
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if of, ok := strings.CutPrefix(line, "# TYPE "); ok {
			counting = strings.HasPrefix(of, "loom_") && (strings.HasSuffix(of, " counter") || strings.HasSuffix(of, " histogram"))
		}
		if at := strings.LastIndexByte(line, ' '); counting && !strings.HasPrefix(line, "#") {
			n, err := strconv.ParseFloat(line[at+1:], 64)
			if err != nil {
				return nil, err
			}
			all[line[:at]] = n
		}
	}
	return all, lines.Err()
}

// sum adds up all series of a metric.
func (c counts) sum(metric string) float64 {
	n := 0.0
	for name, x := range c {
		if strings.HasPrefix(name, metric+"{") || name == metric {
			n += x
		}
	}
	return n
}

// shower looks at what a command of loomctl shows.
func (f *family) shower(command ...string) func(context.Context) (counts, error) {
	return func(ctx context.Context) (counts, error) {
		out, err := exec.CommandContext(ctx, loomctl, append(command, "-o", "json", "--socket", f.socket)...).Output()
		if err != nil {
			return nil, fmt.Errorf("loomctl %s: %w", strings.Join(command, " "), err)
		}
		var shown any
		if err := json.Unmarshal(out, &shown); err != nil {
			return nil, err
		}
		all := make(counts)
		flatten(all, "", shown)
		return all, nil
	}
}

// notCounted are numbers of 64 bits that are no counts.
var notCounted = map[string]bool{"generation": true, "kept": true, "open": true, "bytes": true, "memoryBytes": true, "p50": true, "p99": true}

// flatten takes the counts out of JSON: protojson writes them as text.
func flatten(into counts, at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			if !notCounted[key] {
				flatten(into, at+"."+key, x)
			}
		}
	case []any:
		for i, x := range v {
			name := strconv.Itoa(i)
			for _, key := range []string{"name", "backend", "address"} {
				if m, ok := x.(map[string]any); ok && m[key] != nil {
					name = fmt.Sprint(m[key])
				}
			}
			flatten(into, at+"."+name, x)
		}
	case string:
		if n, err := strconv.ParseUint(v, 10, 64); err == nil {
			into[at] = float64(n)
		}
	}
}

// last returns what somebody saw last.
func (w *watcher) last(who string) counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.seen[who])
}
