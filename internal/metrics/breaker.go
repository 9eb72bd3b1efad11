package metrics

import "github.com/prometheus/client_golang/prometheus"

// Breaker is a circuit breaker at one moment.
type Breaker struct {
	Backend string
	State   string // one of Options.BreakerStates

	// Since the start.
	Rejected      uint64 // calls that it did not let pass
	Late          uint64 // results that came after the state in which their call began
	ProbeTimeouts uint64 // probes that were silent for too long
}

// breakerCollector asks for the figures once for each scrape.
type breakerCollector struct {
	// Immutable.
	figures                         func() []Breaker
	states                          []string
	state, rejected, late, timeouts *prometheus.Desc
}

func newBreakerCollector(figures func() []Breaker, states []string) *breakerCollector {
	of := []string{"backend"}
	return &breakerCollector{
		figures:  figures,
		states:   states,
		state:    prometheus.NewDesc("loom_breaker_state", "1 for the state in which the breaker of the backend is, 0 for the others.", []string{"backend", "state"}, nil),
		rejected: prometheus.NewDesc("loom_breaker_rejections_total", "Attempts that the breaker of the backend did not let pass.", of, nil),
		late:     prometheus.NewDesc("loom_breaker_late_results_total", "Results that came after the state in which their attempt began, and moved nothing.", of, nil),
		timeouts: prometheus.NewDesc("loom_breaker_probe_timeouts_total", "Probes that were silent for probe_timeout.", of, nil),
	}
}

// Describe names what Collect sends.
func (c *breakerCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.state, c.rejected, c.late, c.timeouts} {
		to <- d
	}
}

// Collect sends the figures of the moment.
func (c *breakerCollector) Collect(to chan<- prometheus.Metric) {
	for _, b := range c.figures() {
		for _, s := range c.states {
			is := 0.0
			if s == b.State {
				is = 1
			}
			to <- prometheus.MustNewConstMetric(c.state, prometheus.GaugeValue, is, b.Backend, s)
		}
		to <- prometheus.MustNewConstMetric(c.rejected, prometheus.CounterValue, float64(b.Rejected), b.Backend)
		to <- prometheus.MustNewConstMetric(c.late, prometheus.CounterValue, float64(b.Late), b.Backend)
		to <- prometheus.MustNewConstMetric(c.timeouts, prometheus.CounterValue, float64(b.ProbeTimeouts), b.Backend)
	}
}

// BreakerMoved counts a change of state.
func (m *Metrics) BreakerMoved(backend, from, to string) {
	m.moved.WithLabelValues(backend, from, to).Inc()
}
