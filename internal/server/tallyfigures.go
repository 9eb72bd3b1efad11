package server

import (
	"slices"
	"strconv"
	"time"
)

// The parts of the keys of a tally: kind, name, what.
const (
	ofRoutes   = "routes"
	ofBackends = "backends"
	loadCalls  = "calls"
	loadErrors = "errors" // else the number of a bucket of latencies
)

// byKind returns the loads of routes or of backends; none of anything else.
func (l *loads) byKind(kind string) map[string]*load {
	switch kind {
	case ofRoutes:
		return l.routes
	case ofBackends:
		return l.backends
	default:
		return nil
	}
}

// Count is for the ledger: everything that went through.
func (t *tally) Count(put func(n uint64, key ...string)) {
	all := t.loads.Load()
	for _, kind := range []string{ofRoutes, ofBackends} {
		for name, l := range all.byKind(kind) {
			put(l.calls.Load(), kind, name, loadCalls)
			put(l.errors.Load(), kind, name, loadErrors)
			for i := range l.took {
				put(l.took[i].Load(), kind, name, strconv.Itoa(i))
			}
		}
	}
}

// Add adds what went through in another process. Routes and backends that the
// configuration does not know are left out.
func (t *tally) Add(n uint64, key ...string) {
	if len(key) != 3 {
		return
	}
	l := t.loads.Load().byKind(key[0])[key[1]]
	if l == nil {
		return
	}
	switch i, err := strconv.Atoi(key[2]); {
	case key[2] == loadCalls:
		l.calls.Add(n)
	case key[2] == loadErrors:
		l.errors.Add(n)
	case err == nil && i >= 0 && i < latencyBuckets:
		l.took[i].Add(n)
	}
}

// sampleRecord is a sample for the next process: with its age, and without the
// buckets that are empty.
type sampleRecord struct {
	Age    time.Duration  `json:"age"`
	Calls  uint64         `json:"calls"`
	Errors uint64         `json:"errors"`
	Took   map[int]uint64 `json:"took"`
}

// recent are the samples of all loads, by kind and name, oldest first.
type recent map[string]map[string][]sampleRecord

// recent returns what the figures of the moment are worked out from.
func (t *tally) recent() recent {
	all, now, out := t.loads.Load(), time.Now(), make(recent)
	for _, kind := range []string{ofRoutes, ofBackends} {
		out[kind] = make(map[string][]sampleRecord)
		for name, l := range all.byKind(kind) {
			out[kind][name] = l.record(now)
		}
	}
	return out
}

// goOn goes on from the samples that another process wrote age ago, and whose
// counts were added meanwhile. Where there are none, what was added is long ago.
func (t *tally) goOn(from recent, age time.Duration) {
	now, all := time.Now(), t.loads.Load()
	for _, kind := range []string{ofRoutes, ofBackends} {
		for name, l := range all.byKind(kind) {
			l.recall(from[kind][name], now, now.Add(-age))
		}
	}
}

func (l *load) record(now time.Time) []sampleRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []sampleRecord
	for _, s := range l.samples {
		r := sampleRecord{Age: now.Sub(s.at), Calls: s.calls, Errors: s.errors, Took: make(map[int]uint64)}
		if s.took != nil {
			for i, n := range s.took {
				if n > 0 {
					r.Took[i] = n
				}
			}
		}
		out = append(out, r)
	}
	return out
}

// recall takes samples. Those that cannot be of what the load has counted are
// no samples of it.
func (l *load) recall(records []sampleRecord, now, written time.Time) {
	all := sample{at: now, calls: l.calls.Load(), errors: l.errors.Load(), took: l.counts()}
	after := all
	var samples []sample
	// From the newest to the oldest, so that each is held to the one after it.
	for _, r := range slices.Backward(records) {
		s, ok := r.sample(written, after)
		if !ok || len(samples) == sampleCount {
			samples = nil
			break
		}
		samples, after = append(samples, s), s
	}
	if len(samples) == 0 {
		samples = []sample{all}
	}
	slices.Reverse(samples)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples = samples
}

// sample is what r is a record of; false if there is more in it than in the
// sample that came after it.
func (r *sampleRecord) sample(written time.Time, after sample) (sample, bool) {
	s := sample{at: written.Add(-r.Age), calls: r.Calls, errors: r.Errors, took: new([latencyBuckets]uint64)}
	if s.at.After(after.at) || s.calls > after.calls || s.errors > after.errors {
		return s, false
	}
	for i, n := range r.Took {
		if i < 0 || i >= latencyBuckets || n > after.took[i] {
			return s, false
		}
		s.took[i] = n
	}
	return s, true
}
