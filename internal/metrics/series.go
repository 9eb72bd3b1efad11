package metrics

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"loom/internal/callevent"
)

// maxSeries is how many series calls may have before the methods of further
// ones are counted together: some hundred methods with the few codes that each
// ends with. Who scrapes pays for each of them at every scrape.
const maxSeries = 2000

// maxAllSeries is how many there may be with those that count methods
// together, which the configuration bounds: a few for each route.
const maxAllSeries = 2 * maxSeries

// maxMethodBytes is the longest path that is a label. Generated names stay
// below it; a caller may send 64 KiB.
const maxMethodBytes = 256

// Labels that are no method, route or backend.
const (
	other   = "other"
	unknown = "unknown" // no route matched
)

// Codes beyond those of gRPC.
const (
	codeNone uint32 = 17 + iota // there was no status
	codeOdd                     // a number that means nothing to gRPC
)

// key is what a series counts.
type key struct {
	route, backend, method string
	code                   uint32
}

func keyOf(s *callevent.Summary) key {
	k := key{route: s.Route, backend: s.Backend, method: s.Path, code: s.Code}
	switch {
	case s.Route == "":
		k.method = unknown
	case !strings.HasPrefix(s.Path, "/"):
		k.method = "" // it must not pass for one of our own words
	}
	switch {
	case !s.HasCode:
		k.code = codeNone
	case s.Code >= codeNone:
		k.code = codeOdd
	}
	return k
}

// series is where the calls of a key are counted.
type series struct {
	// Immutable.
	key
	calls    prometheus.Counter
	took     prometheus.Observer
	up, down prometheus.Counter
}

// seriesOf returns the series of k, or the one that its calls are counted in
// with others.
func (m *Metrics) seriesOf(k key) *series {
	if s := m.known.find(k); s != nil {
		return s
	}
	s, folded := m.place(k)
	if folded {
		m.folded.Inc()
	}
	return s
}

// place is seriesOf, also for a series that is not there yet. It reports
// whether the method of k is counted with others.
func (m *Metrics) place(k key) (s *series, folded bool) {
	if k.method != unknown {
		if fitLabel(k.method) {
			k := k
			k.method = strings.Clone(k.method) // and not all that came with it
			if s := m.known.add(k, maxSeries, m.resolve); s != nil {
				return s, false
			}
		}
		folded = true
		k.method = other
		if s := m.known.find(k); s != nil {
			return s, folded
		}
	}
	if s := m.known.add(k, maxAllSeries, m.resolve); s != nil {
		return s, folded
	}
	return m.known.add(key{route: other, backend: other, method: other, code: codeOdd}, maxAllSeries+1, m.resolve), folded
}

// fitLabel reports whether a path may be a label. Prometheus takes UTF-8 only,
// and two paths that are mended to the same text would be one series twice.
func fitLabel(path string) bool {
	return path != "" && len(path) <= maxMethodBytes && utf8.ValidString(path)
}

func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// resolve makes the series of k.
func (m *Metrics) resolve(k key) (*series, error) {
	s := &series{key: k}
	var err error
	if s.calls, err = m.calls.GetMetricWithLabelValues(k.route, k.backend, k.method, m.codeLabel(k.code)); err != nil {
		return nil, err
	}
	if s.took, err = m.took.GetMetricWithLabelValues(k.route, k.backend); err != nil {
		return nil, err
	}
	if s.up, err = m.bytes.GetMetricWithLabelValues(k.route, k.backend, "up"); err != nil {
		return nil, err
	}
	s.down, err = m.bytes.GetMetricWithLabelValues(k.route, k.backend, "down")
	return s, err
}

func (m *Metrics) codeLabel(code uint32) string {
	switch code {
	case codeNone:
		return "none"
	case codeOdd:
		return other
	default:
		return m.codeName(code)
	}
}

// tableSlots leaves half of them free, so that a search ends soon. It is a
// power of two.
const tableSlots = 8192

// table finds series without a lock. They are never taken out.
type table struct {
	// Immutable.
	seed maphash.Seed

	slots [tableSlots]atomic.Pointer[series] // written with mu held
	count atomic.Int64                       // of slots in use; written with mu held

	mu sync.Mutex
}

func newTable() *table { return &table{seed: maphash.MakeSeed()} }

// find returns the series of k; nil if there is none.
func (t *table) find(k key) *series {
	for i := t.first(k); ; i++ {
		s := t.slots[i%tableSlots].Load()
		if s == nil || s.key == k {
			return s
		}
	}
}

// first is where to begin to look for k. Callers choose paths, so their hash is
// seeded. To hash the key as a whole takes three times as long.
func (t *table) first(k key) uint64 {
	h := maphash.String(t.seed, k.method)
	h = h*31 + maphash.String(t.seed, k.route)
	h = h*31 + maphash.String(t.seed, k.backend)
	return h*31 + uint64(k.code)
}

// add returns the series of k, which create makes if it is not there; nil if
// there are most series without it, or create fails.
func (t *table) add(k key, most int64, create func(key) (*series, error)) *series {
	if t.count.Load() >= most {
		return t.find(k)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.find(k); s != nil || t.count.Load() >= most {
		return s
	}
	s, err := create(k)
	if err != nil {
		return nil
	}
	i := t.first(k)
	for t.slots[i%tableSlots].Load() != nil {
		i++
	}
	t.slots[i%tableSlots].Store(s)
	t.count.Add(1)
	return s
}
