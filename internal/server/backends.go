package server

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"loom/internal/backend"
	"loom/internal/config"
	"loom/internal/inspector"
	"loom/internal/metrics"
)

// openBackend makes a backend. Its breaker, if it has one, is there.
func (s *Server) openBackend(f *inForce, c *config.Backend) error {
	o := s.optionsOf(f, c)
	o.Moved = func() { s.watch.schemas.endpointsMoved(o.Name) }
	o.Event = func(ev backend.Event) { s.endpointMoved(o.Name, ev) }
	o.Recovered = func() {
		if b := s.now().breakers[o.Name]; b != nil {
			b.Probe("an endpoint is healthy again")
		}
	}
	k, err := backend.New(o)
	if err != nil {
		return err
	}
	f.backends[o.Name] = k
	return nil
}

// balanced turns what cfg says of the choice of endpoints into options.
func balanced(o *backend.Options, c *config.Backend) {
	o.SlowStart = time.Duration(c.SlowStart)
	switch c.Balance {
	case "least_request":
		o.Balance = backend.LeastRequest
	case "ring_hash":
		o.Balance = backend.RingHash
	}
	if r := c.RingHash; r != nil {
		o.HashMetadata = r.Metadata
	}
	if x := c.Outlier; x != nil {
		o.Outlier = &backend.Outlier{
			Consecutive: x.Consecutive, EjectFor: time.Duration(x.EjectFor), MaxEjectFor: time.Duration(x.MaxEjectFor), MaxEjectedPercent: x.MaxEjectedPercent,
		}
	}
	if h := c.Health; h != nil {
		o.Health = &backend.HealthCheck{
			Interval: time.Duration(h.Interval), Timeout: time.Duration(h.Timeout), Fall: h.Fall, Rise: h.Rise, Service: h.Service, Authority: c.Authority,
		}
	}
}

// endpointMoved writes a change of an endpoint down.
func (s *Server) endpointMoved(of string, ev backend.Event) {
	log := s.log.Named("backend").With(zap.String("backend", of))
	if ev.Endpoint != "" {
		log = log.With(zap.String("endpoint", ev.Endpoint))
	}
	switch ev.Kind {
	case backend.Ejected:
		log.Warn("endpoint ejected", zap.String("reason", ev.Why), zap.Duration("for", ev.For))
	case backend.Returned:
		log.Info("endpoint is back from its ejection")
	case backend.Unhealthy:
		log.Warn("endpoint is unhealthy", zap.String("reason", ev.Why))
	case backend.Healthy:
		log.Info("endpoint is healthy again")
	case backend.Drained:
		log.Info("endpoint is drained by an operator")
	case backend.Undrained:
		log.Info("endpoint is no longer drained")
	case backend.Panicked:
		log.Warn("no endpoint is fit, so all are used")
	case backend.Calmed:
		log.Info("some endpoint is fit again")
	}
}

// drainEndpoint has an endpoint of a backend take no new calls, or take them
// again.
func (s *Server) drainEndpoint(of, endpoint string, drained bool) error {
	k := s.now().backends[of]
	switch {
	case k == nil:
		return fmt.Errorf("there is no backend %q", of)
	case drained:
		return k.DrainEndpoint(endpoint)
	default:
		return k.UndrainEndpoint(endpoint)
	}
}

func (s *Server) backendViews() []inspector.BackendView {
	f, now := s.now(), time.Now()
	var views []inspector.BackendView
	for i := range f.cfg.Backends {
		b := &f.cfg.Backends[i]
		st := f.backends[b.Name].Status()
		v := inspector.BackendView{
			Name: b.Name, Waiting: st.Waiting, Load: s.watch.tally.backend(b.Name).view(now), Balance: b.Balance, Panic: st.Panic, Problems: problems(&st, now),
		}
		if c := f.tls[b.Name]; c != nil {
			v.Problems = append(v.Problems, c.Status()...)
		}
		for _, target := range b.Targets {
			v.Targets = append(v.Targets, target.Target)
		}
		for i := range st.Endpoints {
			e := endpointView(&st.Endpoints[i])
			v.Load.Open += e.Open
			v.Endpoints = append(v.Endpoints, e)
		}
		v.Load.Open += s.ledger.Level(levelAttempts, b.Name)
		views = append(views, v)
	}
	return views
}

// problems says in sentences what is wrong with a backend as a whole.
func problems(st *backend.Status, now time.Time) []string {
	var all []string
	if st.Problem != "" {
		all = append(all, st.Problem)
	}
	if st.Panic {
		all = append(all, "no endpoint is fit, so all are used")
	}
	if st.LeftOut > 0 {
		all = append(all, fmt.Sprintf("there are too many addresses: %d are not used", st.LeftOut))
	}
	for _, s := range st.Stale {
		all = append(all, fmt.Sprintf("addresses are stale since %v: %s", now.Sub(s.Since).Round(time.Second), s.Why))
	}
	return all
}

func endpointView(e *backend.EndpointStatus) inspector.EndpointView {
	v := inspector.EndpointView{
		Address: e.Address, State: string(e.State), Weight: e.Weight, Connections: e.Connections, Open: e.InFlight,
		Good: e.Good, Bad: e.Bad, Ejections: e.Ejections, Health: string(e.Health), Drained: e.Drained, Warmth: e.Warmth, Error: e.Error,
	}
	switch {
	case e.HealthError != "":
		v.Error = e.HealthError
	case e.EjectedFor > 0:
		v.Error = fmt.Sprintf("calls to it failed; it is tried again in %v", e.EjectedFor.Round(time.Second))
	}
	return v
}

// backendFigures are the backends for a scrape.
func (s *Server) backendFigures() []metrics.Backend {
	backends := s.now().backends
	all := make([]metrics.Backend, 0, len(backends))
	for name, k := range backends {
		st := k.Status()
		b := metrics.Backend{
			Name: name, Endpoints: make(map[string]int), Panic: st.Panic,
			InFlight: st.InFlight + s.ledger.Level(levelAttempts, name), Waiting: st.Waiting + s.ledger.Level(levelWaiting, name),
			Stale: len(st.Stale), Ejections: st.Ejections, Falls: st.Falls,
		}
		for i := range st.Endpoints {
			b.Endpoints[string(st.Endpoints[i].State)]++
		}
		all = append(all, b)
	}
	return all
}

func endpointStates() []string {
	var names []string
	for _, s := range backend.States() {
		names = append(names, string(s))
	}
	return names
}
