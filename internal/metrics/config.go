package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is the configuration in force, and its file, at one moment.
type Config struct {
	Problem          bool   // the file is not in force as it is
	Applied, Refused uint64 // changes of the file since the start
	Since            time.Time
}

// configCollector asks for the figures once for each scrape.
type configCollector struct {
	// Immutable.
	figures                          func() Config
	problem, applied, refused, since *prometheus.Desc
}

func newConfigCollector(figures func() Config) *configCollector {
	return &configCollector{
		figures: figures,
		problem: prometheus.NewDesc("loom_config_problem", "1 if the file of the configuration is not in force as it is, because it is wrong or cannot be applied; else 0.", nil, nil),
		applied: prometheus.NewDesc("loom_config_applied_total", "Changes of the configuration that were put in force.", nil, nil),
		refused: prometheus.NewDesc("loom_config_refused_total", "Changes of the configuration that were refused.", nil, nil),
		since:   prometheus.NewDesc("loom_config_last_apply_timestamp_seconds", "When the configuration in force was put in force, in Unix time.", nil, nil),
	}
}

// Describe names what Collect sends.
func (c *configCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.problem, c.applied, c.refused, c.since} {
		to <- d
	}
}

// Collect sends the figures of the moment.
func (c *configCollector) Collect(to chan<- prometheus.Metric) {
	f := c.figures()
	wrong := 0.0
	if f.Problem {
		wrong = 1
	}
	to <- prometheus.MustNewConstMetric(c.problem, prometheus.GaugeValue, wrong)
	to <- prometheus.MustNewConstMetric(c.applied, prometheus.CounterValue, float64(f.Applied))
	to <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, float64(f.Refused))
	to <- prometheus.MustNewConstMetric(c.since, prometheus.GaugeValue, float64(f.Since.UnixMilli())/1000)
}
