package metrics

import "github.com/prometheus/client_golang/prometheus"

// Capture is what is recorded of calls at one moment, and what is not.
type Capture struct {
	Seen  uint64 // calls since the start
	Kept  int    // calls that there is a record of
	Open  int    // of these, not ended
	Bytes int64  // that the records take

	// What was left out since the start.
	Calls      uint64 // calls without a record
	Messages   uint64 // messages without room
	Unredacted uint64 // messages that could not be redacted in time
	Unshown    uint64 // changes that who watches was not told of
	Session    uint64 // calls that did not get into the session file
}

// captureCollector asks for the figures once for each scrape.
type captureCollector struct {
	// Immutable.
	figures                          func() Capture
	seen, kept, open, bytes, dropped *prometheus.Desc
}

func newCaptureCollector(figures func() Capture) *captureCollector {
	return &captureCollector{
		figures: figures,
		seen:    prometheus.NewDesc("loom_capture_calls_seen_total", "Calls that capture was told of.", nil, nil),
		kept:    prometheus.NewDesc("loom_capture_calls_kept", "Calls in the ring.", nil, nil),
		open:    prometheus.NewDesc("loom_capture_calls_open", "Calls in the ring that have not ended.", nil, nil),
		bytes:   prometheus.NewDesc("loom_capture_bytes", "Memory that the ring takes.", nil, nil),
		dropped: prometheus.NewDesc("loom_capture_dropped_total",
			"What is not recorded or shown: calls and messages without room in the ring (calls, messages), messages that could not be redacted in time (unredacted), changes that a viewer was too slow for (changes), calls missing from the session file (session).",
			[]string{"what"}, nil),
	}
}

// Describe names what Collect sends.
func (c *captureCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.seen, c.kept, c.open, c.bytes, c.dropped} {
		to <- d
	}
}

// Collect sends the figures of the moment.
func (c *captureCollector) Collect(to chan<- prometheus.Metric) {
	f := c.figures()
	to <- prometheus.MustNewConstMetric(c.seen, prometheus.CounterValue, float64(f.Seen))
	to <- prometheus.MustNewConstMetric(c.kept, prometheus.GaugeValue, float64(f.Kept))
	to <- prometheus.MustNewConstMetric(c.open, prometheus.GaugeValue, float64(f.Open))
	to <- prometheus.MustNewConstMetric(c.bytes, prometheus.GaugeValue, float64(f.Bytes))
	for _, d := range []struct {
		what string
		n    uint64
	}{
		{"calls", f.Calls},
		{"messages", f.Messages},
		{"unredacted", f.Unredacted},
		{"changes", f.Unshown},
		{"session", f.Session},
	} {
		to <- prometheus.MustNewConstMetric(c.dropped, prometheus.CounterValue, float64(d.n), d.what)
	}
}
