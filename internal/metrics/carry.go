package metrics

import (
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// The first parts of the keys of Count and Add.
const (
	countCalls  = "calls"  // route, backend, method, code
	countBytes  = "bytes"  // route, backend, direction
	countTook   = "took"   // route, backend, bucket
	countSum    = "sum"    // route, backend: of latencies, in microseconds
	countFolded = "folded" //
	countMoved  = "moved"  // backend, from, to
)

// Count calls put for each count of its own: how much it is now. What others
// count and Metrics only reports is theirs to hand on.
func (m *Metrics) Count(put func(n uint64, key ...string)) {
	each(m.calls, func(d *dto.Metric, label map[string]string) {
		put(whole(d.GetCounter()), countCalls, label["route"], label["backend"], label["method"], label["code"])
	})
	each(m.bytes, func(d *dto.Metric, label map[string]string) {
		put(whole(d.GetCounter()), countBytes, label["route"], label["backend"], label["direction"])
	})
	each(m.took, func(d *dto.Metric, label map[string]string) {
		before := uint64(0)
		for i, b := range d.GetHistogram().GetBucket() {
			put(b.GetCumulativeCount()-before, countTook, label["route"], label["backend"], strconv.Itoa(i))
			before = b.GetCumulativeCount()
		}
		put(d.GetHistogram().GetSampleCount()-before, countTook, label["route"], label["backend"], strconv.Itoa(len(durations())))
		// Up, so that the sum which the next process shows is no less.
		put(uint64(math.Ceil(d.GetHistogram().GetSampleSum()*1e6)), countSum, label["route"], label["backend"])
	})
	each(m.moved, func(d *dto.Metric, label map[string]string) {
		put(whole(d.GetCounter()), countMoved, label["backend"], label["from"], label["to"])
	})
	each(m.folded, func(d *dto.Metric, _ map[string]string) { put(whole(d.GetCounter()), countFolded) })
}

// each calls do for each metric of c, with its labels.
func each(c prometheus.Collector, do func(d *dto.Metric, label map[string]string)) {
	all := make(chan prometheus.Metric)
	go func() {
		c.Collect(all)
		close(all)
	}()
	for metric := range all {
		var d dto.Metric
		if metric.Write(&d) != nil {
			continue // not possible: its labels were checked when it was made
		}
		label := make(map[string]string, len(d.GetLabel()))
		for _, pair := range d.GetLabel() {
			label[pair.GetName()] = pair.GetValue()
		}
		do(&d, label)
	}
}

func whole(c *dto.Counter) uint64 { return uint64(c.GetValue()) }

// Add adds to the count with that key, which Count gave in another process. The
// bounds on what callers can make up hold for all together. Keys that it does
// not know are left alone.
func (m *Metrics) Add(n uint64, key ...string) {
	var k [5]string
	if len(key) > len(k) {
		return
	}
	copy(k[:], key)
	switch of := len(key) - 1; {
	case k[0] == countFolded && of == 0:
		m.folded.Add(float64(n))
	case k[0] == countCalls && of == 4:
		m.addCalls(n, k[1], k[2], k[3], k[4])
	case k[0] == countMoved && of == 3 && m.carried.take(key...):
		addTo(m.moved, n, k[1], k[2], k[3])
	case k[0] == countBytes && of == 3 && (k[3] == "up" || k[3] == "down"):
		p := m.pairOf(k[1], k[2])
		addTo(m.bytes, n, p.route, p.backend, k[3])
	case k[0] == countTook && of == 3:
		if i, err := strconv.Atoi(k[3]); err == nil {
			m.took.add(m.pairOf(k[1], k[2]), i, n)
		}
	case k[0] == countSum && of == 2:
		m.took.addSum(m.pairOf(k[1], k[2]), n)
	}
}

func addTo(v *prometheus.CounterVec, n uint64, labels ...string) {
	if c, err := v.GetMetricWithLabelValues(labels...); err == nil {
		c.Add(float64(n))
	}
}

func (m *Metrics) addCalls(n uint64, route, backend, method, label string) {
	if code, ok := m.codeNamed(label); ok {
		s, _ := m.place(key{route: route, backend: backend, method: method, code: code})
		s.calls.Add(float64(n))
	}
}

// codeNamed is the reverse of codeLabel.
func (m *Metrics) codeNamed(label string) (uint32, bool) {
	for code := range codeOdd + 1 {
		if m.codeLabel(code) == label {
			return code, true
		}
	}
	return 0, false
}

// pairOf returns the labels, or others if there are too many.
func (m *Metrics) pairOf(route, backend string) pair {
	if m.carried.take(route, backend) {
		return pair{route, backend}
	}
	return pair{other, other}
}

// carried are the labels that came from other processes: names of another
// configuration among them. There are at most maxAllSeries.
type carried struct {
	mu    sync.Mutex
	known map[string]bool // guarded by mu
}

// take reports whether these labels may be used.
func (c *carried) take(labels ...string) bool {
	joined := strings.Join(labels, "\n")
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known[joined] && len(c.known) < maxAllSeries {
		c.known[joined] = true
	}
	return c.known[joined]
}
