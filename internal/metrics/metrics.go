// Package metrics counts calls and what loomd does, for Prometheus, and tells
// whoever asks over HTTP whether loomd lives and serves.
//
// Invariant: the number of series is bounded. Callers choose the paths of
// their calls, so a path has a series of its own only while there are few;
// the others are counted together, and nothing is lost from the sums.
//
// Pitfall: Ended is called on the goroutines that carry calls. A series that
// it has seen before costs it neither a lock nor memory; whatever is added
// here has to keep it so.
package metrics

import (
	"fmt"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"loom/internal/callevent"
)

// Options is what Metrics reports besides calls. CodeName and InFlight are
// required. Functions are called from any goroutine, and may not wait.
type Options struct {
	Version string
	// CodeName names a gRPC status from 0 to 16. It is asked once for each series.
	CodeName func(code uint32) string
	InFlight func() int // calls that are open, at each scrape; those in Draining among them
	// Draining are calls that are open in older processes, by their generation,
	// at each scrape; nil: there are none.
	Draining func() map[int]int
	Capture  func() Capture // at each scrape; nil: nothing is recorded
	Limits   []Limit
	Config   func() Config // at each scrape; nil: nothing is reported
	// Breakers are the circuit breakers, at each scrape; nil: there are none.
	// BreakerStates are the names of all states that one may have.
	Breakers      func() []Breaker
	BreakerStates []string
	// Backends are what they do, at each scrape; nil: nothing is reported.
	// EndpointStates are the names of all states that an endpoint may have.
	Backends       func() []Backend
	EndpointStates []string
	// Shown is called when a scrape is gathered, before it is answered; nil:
	// nobody is. It may take a moment.
	Shown func()
}

// Limit is a bound of loomd's and how often it was hit.
type Limit struct {
	Name string // lower case with underscores; unique
	Help string
	Hits func() uint64 // at each scrape
}

// Metrics counts calls, and collects the rest when it is asked. It is safe
// for concurrent use.
type Metrics struct {
	// Immutable.
	registry *prometheus.Registry
	shown    func()
	codeName func(code uint32) string
	calls    *prometheus.CounterVec
	took     *latencies
	bytes    *prometheus.CounterVec
	folded   prometheus.Counter
	moved    *prometheus.CounterVec
	known    *table
	carried  carried
}

// New returns metrics in a registry of their own. It fails if two limits
// have the same name.
func New(o Options) (*Metrics, error) {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		shown:    o.Shown,
		codeName: o.CodeName,
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loom_calls_total",
			Help: `Calls that have ended. method is "unknown" where no route matched, and "other" beyond the limit of series.`,
		}, []string{"route", "backend", "method", "code"}),
		took: newLatencies(),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loom_call_bytes_total",
			Help: "Bytes of messages with their prefixes, of calls that have ended: up is the request, down the response.",
		}, []string{"route", "backend", "direction"}),
		folded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "loom_calls_folded_total",
			Help: `Calls counted with method "other", because there were too many series or the path is no fit label.`,
		}),
		moved: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loom_breaker_transitions_total",
			Help: "Changes of state of the breaker of the backend.",
		}, []string{"backend", "from", "to"}),
		known:   newTable(),
		carried: carried{known: make(map[string]bool)},
	}
	all := []prometheus.Collector{
		m.calls, m.took, m.bytes, m.folded, m.moved, buildInfo(o.Version),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "loom_calls_in_flight",
			Help: "Calls that are open, also in older processes that drain.",
		}, func() float64 { return float64(o.InFlight()) }),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
	for _, l := range o.Limits {
		all = append(all, limitCounter(l))
	}
	if o.Draining != nil {
		all = append(all, newDrainingCollector(o.Draining))
	}
	if o.Capture != nil {
		all = append(all, newCaptureCollector(o.Capture))
	}
	if o.Config != nil {
		all = append(all, newConfigCollector(o.Config))
	}
	if o.Breakers != nil {
		all = append(all, newBreakerCollector(o.Breakers, o.BreakerStates))
	}
	if o.Backends != nil {
		all = append(all, newBackendCollector(o.Backends, o.EndpointStates))
	}
	for _, c := range all {
		if err := m.registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func buildInfo(version string) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "loom_build_info",
		Help:        "Always 1; the labels say which loomd this is.",
		ConstLabels: prometheus.Labels{"version": validText(version), "goversion": runtime.Version()},
	})
	g.Set(1)
	return g
}

func limitCounter(l Limit) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "loom_limit_" + l.Name + "_total",
		Help: l.Help,
	}, func() float64 { return float64(l.Hits()) })
}

// Ended counts a call.
func (m *Metrics) Ended(s *callevent.Summary) {
	of := m.seriesOf(keyOf(s))
	of.calls.Inc()
	of.took.Observe(s.Took.Seconds())
	of.up.Add(float64(s.Up.Bytes))
	of.down.Add(float64(s.Down.Bytes))
}

// Gather is what a scrape is answered with.
func (m *Metrics) Gather() ([]*dto.MetricFamily, error) {
	families, err := m.registry.Gather()
	if m.shown != nil {
		m.shown()
	}
	return families, err
}
