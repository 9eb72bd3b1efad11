package metrics

import "github.com/prometheus/client_golang/prometheus"

// Backend is what a backend does at the moment. Endpoints come and go, so
// they have no series of their own, but are counted by what they do.
type Backend struct {
	Name      string
	Endpoints map[string]int // by their state
	InFlight  int            // attempts
	Waiting   int            // calls that wait for a connection
	Panic     bool           // no endpoint is fit, so all are used
	Stale     int            // targets whose name cannot be resolved any more
	Ejections uint64         // since loomd started
	Falls     uint64         // endpoints that turned out to be unhealthy, since loomd started
}

// backendCollector reports the backends.
type backendCollector struct {
	// Immutable.
	figures                                                       func() []Backend
	states                                                        []string
	endpoints, inFlight, waiting, panics, stale, ejections, falls *prometheus.Desc
}

func newBackendCollector(figures func() []Backend, states []string) *backendCollector {
	of := []string{"backend"}
	return &backendCollector{
		figures:   figures,
		states:    states,
		endpoints: prometheus.NewDesc("loom_backend_endpoints", "Endpoints of the backend, by what they do.", []string{"backend", "state"}, nil),
		inFlight:  prometheus.NewDesc("loom_backend_in_flight", "Attempts of calls at the backend that have not ended.", of, nil),
		waiting:   prometheus.NewDesc("loom_backend_waiting", "Calls that wait for a connection to the backend.", of, nil),
		panics:    prometheus.NewDesc("loom_backend_panic", "1 while no endpoint of the backend is fit, so that all are used.", of, nil),
		stale:     prometheus.NewDesc("loom_backend_stale_targets", "Targets whose last good addresses are used, because their name cannot be resolved.", of, nil),
		ejections: prometheus.NewDesc("loom_backend_ejections_total", "Endpoints left out for a while because calls to them failed.", of, nil),
		falls:     prometheus.NewDesc("loom_backend_unhealthy_total", "Endpoints that turned out to be unhealthy.", of, nil),
	}
}

// Describe names what Collect sends.
func (c *backendCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.endpoints, c.inFlight, c.waiting, c.panics, c.stale, c.ejections, c.falls} {
		to <- d
	}
}

// Collect sends the figures of the moment.
func (c *backendCollector) Collect(to chan<- prometheus.Metric) {
	for _, b := range c.figures() {
		gauge := func(d *prometheus.Desc, n int, labels ...string) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), append([]string{b.Name}, labels...)...)
		}
		for _, s := range c.states {
			gauge(c.endpoints, b.Endpoints[s], s)
		}
		gauge(c.inFlight, b.InFlight)
		gauge(c.waiting, b.Waiting)
		panics := 0
		if b.Panic {
			panics = 1
		}
		gauge(c.panics, panics)
		gauge(c.stale, b.Stale)
		to <- prometheus.MustNewConstMetric(c.ejections, prometheus.CounterValue, float64(b.Ejections), b.Name)
		to <- prometheus.MustNewConstMetric(c.falls, prometheus.CounterValue, float64(b.Falls), b.Name)
	}
}
