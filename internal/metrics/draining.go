package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// drainingCollector reports older processes while they live.
type drainingCollector struct {
	// Immutable.
	calls func() map[int]int
	desc  *prometheus.Desc
}

func newDrainingCollector(calls func() map[int]int) *drainingCollector {
	return &drainingCollector{calls, prometheus.NewDesc("loom_draining_calls_in_flight",
		"Calls that are open in an older process, which drains, by its generation.", []string{"generation"}, nil)}
}

// Describe names what Collect sends.
func (c *drainingCollector) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

// Collect sends the figures of the moment.
func (c *drainingCollector) Collect(to chan<- prometheus.Metric) {
	for generation, n := range c.calls() {
		to <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n), strconv.Itoa(generation))
	}
}
