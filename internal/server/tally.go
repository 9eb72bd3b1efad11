package server

import (
	"context"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"loom/internal/callevent"
	"loom/internal/config"
	"loom/internal/inspector"
)

// tally counts the calls of each route and of each backend, for the panels.
type tally struct {
	loads atomic.Pointer[loads]
}

// loads are those of the names that a configuration knows. Nobody changes them.
type loads struct{ routes, backends map[string]*load }

func newTally(cfg *config.Config) *tally {
	t := new(tally)
	t.loads.Store(new(loads))
	t.know(cfg)
	return t
}

// know has the routes and backends of another configuration counted. Those that
// stay go on.
func (t *tally) know(cfg *config.Config) {
	old, now := t.loads.Load(), time.Now()
	next := &loads{routes: make(map[string]*load), backends: make(map[string]*load)}
	for i := range cfg.Routes {
		name := cfg.Routes[i].Name
		next.routes[name] = orNew(old.routes[name], now)
	}
	for i := range cfg.Backends {
		name := cfg.Backends[i].Name
		next.backends[name] = orNew(old.backends[name], now)
	}
	t.loads.Store(next)
}

func orNew(l *load, now time.Time) *load {
	if l == nil {
		l = newLoad(now)
	}
	return l
}

// route returns what went through a route; nil if none is known by that name.
func (t *tally) route(name string) *load { return t.loads.Load().routes[name] }

// backend returns what went through a backend; nil if none is known by that name.
func (t *tally) backend(name string) *load { return t.loads.Load().backends[name] }

// run samples all loads until ctx ends.
func (t *tally) run(ctx context.Context) {
	ticker := time.NewTicker(samplePeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			all := t.loads.Load()
			for _, some := range []map[string]*load{all.routes, all.backends} {
				for _, l := range some {
					l.tick(now)
				}
			}
		}
	}
}

// Ended counts a call.
func (t *tally) Ended(s *callevent.Summary) {
	all := t.loads.Load()
	if l := all.routes[s.Route]; l != nil {
		l.add(s)
	}
	if l := all.backends[s.Backend]; l != nil {
		l.add(s)
	}
}

// latencyBuckets halves each power of two of microseconds in four: 2^40 of
// them are twelve days.
const latencyBuckets = 40 * 4

// The figures of a load are those of the last 10 to 15 seconds: long enough to
// see slow traffic, short enough to see that it changed.
const (
	samplePeriod = 5 * time.Second
	sampleCount  = 3
)

// load is what went through one route or backend.
type load struct {
	calls, errors atomic.Uint64
	took          [latencyBuckets]atomic.Uint64

	mu sync.Mutex
	// Guarded by mu: what there was at the last ticks, oldest first. The first
	// one is empty and from the start.
	samples []sample
}

// sample is what a load had counted at one moment.
type sample struct {
	at            time.Time
	calls, errors uint64
	took          *[latencyBuckets]uint64 // shared with the sample before if no call ended; nil: none did
}

func newLoad(now time.Time) *load { return &load{samples: []sample{{at: now}}} }

// tick takes a sample, and forgets the oldest if it is too old.
func (l *load) tick(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := &l.samples[len(l.samples)-1]
	next := sample{at: now, calls: l.calls.Load(), errors: l.errors.Load(), took: last.took}
	if next.calls != last.calls {
		next.took = l.counts()
	}
	if len(l.samples) == sampleCount {
		copy(l.samples, l.samples[1:])
		l.samples = l.samples[:sampleCount-1]
	}
	l.samples = append(l.samples, next)
}

func (l *load) counts() *[latencyBuckets]uint64 {
	out := new([latencyBuckets]uint64)
	for i := range out {
		out[i] = l.took[i].Load()
	}
	return out
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

// view is the load as people see it: calls and errors since the start, the rest
// since the oldest sample. That of nil is empty.
func (l *load) view(now time.Time) inspector.LoadView {
	if l == nil {
		return inspector.LoadView{}
	}
	v := inspector.LoadView{Calls: l.calls.Load(), Errors: l.errors.Load()}
	l.mu.Lock()
	defer l.mu.Unlock()
	from := &l.samples[0]
	calls := v.Calls - from.calls
	if calls == 0 {
		return v
	}
	// In the first second there is little to tell a rate by.
	v.Rate = float64(calls) / max(now.Sub(from.at), time.Second).Seconds()
	v.ErrorShare = min(float64(v.Errors-from.errors)/float64(calls), 1)
	recent := l.counts()
	if from.took != nil {
		for i := range recent {
			recent[i] -= from.took[i]
		}
	}
	v.P50, v.P99 = quantile(recent, 0.5), quantile(recent, 0.99)
	return v
}

// quantile is the latency below which a share of the calls stayed, in
// microseconds, at most a quarter too high; 0 if there were none.
func quantile(counts *[latencyBuckets]uint64, share float64) int64 {
	total := uint64(0)
	for _, n := range counts {
		total += n
	}
	if total == 0 {
		return 0
	}
	want, sum := share*float64(total), uint64(0)
	for i, n := range counts {
		if sum += n; float64(sum) >= want {
			return bound(i)
		}
	}
	return bound(latencyBuckets - 1)
}
