package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// pair is whose latencies are counted.
type pair struct{ route, backend string }

// latencies are the histograms of how long calls took. To them can be added
// what other processes have counted, which those of the library do not allow.
type latencies struct {
	*prometheus.HistogramVec // of this process

	// Immutable.
	desc   *prometheus.Desc
	bounds []float64

	mu    sync.Mutex
	added map[pair]*added // guarded by mu
}

// added is what others have counted.
type added struct {
	buckets []uint64 // by bounds, and beyond the last
	sum     uint64   // microseconds
}

func newLatencies() *latencies {
	const name, help = "loom_call_duration_seconds", "Time from the headers of a request to the end of its call."
	labels := []string{"route", "backend"}
	return &latencies{
		HistogramVec: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: durations()}, labels),
		desc:         prometheus.NewDesc(name, help, labels, nil),
		bounds:       durations(),
		added:        make(map[pair]*added),
	}
}

// durations are the bounds of the latency histogram in seconds: from what a
// call on one machine takes to what a person gives up on.
func durations() []float64 {
	return []float64{
		0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
		0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
	}
}

// add adds n calls to a bucket; there may be no such bucket.
func (l *latencies) add(p pair, bucket int, n uint64) {
	if bucket >= 0 && bucket <= len(l.bounds) {
		l.change(p, func(a *added) { a.buckets[bucket] += n })
	}
}

// addSum adds to the sum of latencies, in microseconds.
func (l *latencies) addSum(p pair, n uint64) { l.change(p, func(a *added) { a.sum += n }) }

func (l *latencies) change(p pair, by func(*added)) {
	// So that there is one of this process to add to.
	if _, err := l.GetMetricWithLabelValues(p.route, p.backend); err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.added[p]
	if a == nil {
		a = &added{buckets: make([]uint64, len(l.bounds)+1)}
		l.added[p] = a
	}
	by(a)
}

// Describe names what Collect sends.
func (l *latencies) Describe(to chan<- *prometheus.Desc) { to <- l.desc }

// Collect sends the histograms of all processes together.
func (l *latencies) Collect(to chan<- prometheus.Metric) {
	each(l.HistogramVec, func(d *dto.Metric, label map[string]string) {
		p := pair{label["route"], label["backend"]}
		h := d.GetHistogram()
		total, sum := h.GetSampleCount(), h.GetSampleSum()
		buckets := make(map[float64]uint64, len(l.bounds))
		for _, b := range h.GetBucket() {
			buckets[b.GetUpperBound()] = b.GetCumulativeCount()
		}
		l.mu.Lock()
		if a := l.added[p]; a != nil {
			before := uint64(0)
			for i, bound := range l.bounds {
				before += a.buckets[i]
				buckets[bound] += before
			}
			total += before + a.buckets[len(l.bounds)]
			sum += float64(a.sum) / 1e6
		}
		l.mu.Unlock()
		to <- prometheus.MustNewConstHistogram(l.desc, total, sum, buckets, p.route, p.backend)
	})
}
