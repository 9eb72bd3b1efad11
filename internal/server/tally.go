package server

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"loom/internal/callevent"
	"loom/internal/inspector"
)

// tally counts the calls of each route and of each backend, for the panels.
type tally struct {
	// Immutable: the names that the configuration knows.
	routes, backends map[string]*load
}

func newTally(routes, backends []string) *tally {
	t := &tally{routes: make(map[string]*load), backends: make(map[string]*load)}
	for _, name := range routes {
		t.routes[name] = new(load)
	}
	for _, name := range backends {
		t.backends[name] = new(load)
	}
	return t
}

// Ended counts a call.
func (t *tally) Ended(s *callevent.Summary) {
	if l := t.routes[s.Route]; l != nil {
		l.add(s)
	}
	if l := t.backends[s.Backend]; l != nil {
		l.add(s)
	}
}

// latencyBuckets halves each power of two of microseconds in four: 2^40 of
// them are twelve days.
const latencyBuckets = 40 * 4

// load is what went through one route or backend.
type load struct {
	calls, errors atomic.Uint64
	took          [latencyBuckets]atomic.Uint64

	mu sync.Mutex
	// Guarded by mu: the last two looks at calls.
	looked time.Time
	before uint64
	rate   float64
}

func (l *load) add(s *callevent.Summary) {
	l.calls.Add(1)
	if !s.HasCode || s.Code != 0 {
		l.errors.Add(1)
	}
	l.took[bucket(s.Took)].Add(1)
}

// bucket is the place of a latency: its power of two and the next two bits.
func bucket(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0))
	if us < 4 {
		return int(us)
	}
	power := bits.Len64(us) - 1
	return min((power-1)*4+int(us>>(power-2))&3, latencyBuckets-1)
}

// bound is the least latency above those of a bucket, in microseconds.
func bound(b int) int64 {
	if b < 4 {
		return int64(b) + 1
	}
	power := b/4 + 1
	return int64(b&3+5) << (power - 2)
}

// view is the load as the inspector shows it. The rate is that since the last
// look, of at least a second.
func (l *load) view(now time.Time) inspector.LoadView {
	v := inspector.LoadView{Calls: l.calls.Load(), Errors: l.errors.Load(), P50: l.quantile(0.5), P99: l.quantile(0.99)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := now.Sub(l.looked); since >= time.Second {
		if !l.looked.IsZero() {
			l.rate = float64(v.Calls-l.before) / since.Seconds()
		}
		l.looked, l.before = now, v.Calls
	}
	v.Rate = l.rate
	return v
}

// quantile is the latency below which a share of the calls stayed, in
// microseconds, at most a quarter too high; 0 if there were none.
func (l *load) quantile(share float64) int64 {
	var counts [latencyBuckets]uint64
	total := uint64(0)
	for i := range counts {
		counts[i] = l.took[i].Load()
		total += counts[i]
	}
	if total == 0 {
		return 0
	}
	want, sum := share*float64(total), uint64(0)
	for i, n := range &counts {
		if sum += n; float64(sum) >= want {
			return bound(i)
		}
	}
	return bound(latencyBuckets - 1)
}
