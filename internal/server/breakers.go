package server

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"loom/internal/breaker"
	"loom/internal/config"
	"loom/internal/inspector"
	"loom/internal/metrics"
	"loom/internal/relay"
)

// guard is the breaker of a backend as the relay calls it.
type guard struct{ *breaker.Breaker }

// Allow asks for leave to make an attempt.
func (g guard) Allow(now time.Time, p relay.Prober) (relay.Ticket, *relay.Rejection) {
	t, r, ok := g.Breaker.Allow(now, p)
	if !ok {
		return relay.Ticket{}, &relay.Rejection{
			HalfOpen: r.State == breaker.HalfOpen,
			Forced:   r.State == breaker.ForcedOpen,
			RetryIn:  r.RetryIn,
		}
	}
	return relay.Ticket{Ref: t.Attempt, Probe: t.Probe}, nil
}

// Done says how an attempt ended.
func (g guard) Done(now time.Time, t *relay.Ticket, v relay.Verdict, why string) {
	a, ok := t.Ref.(*breaker.Attempt)
	if !ok {
		return // the zero ticket
	}
	own := breaker.Ticket{Attempt: a, Probe: t.Probe}
	*t = relay.Ticket{}
	g.Breaker.Done(now, &own, verdict(v), why)
}

func verdict(v relay.Verdict) breaker.Verdict {
	switch v {
	case relay.Success:
		return breaker.Success
	case relay.Failure:
		return breaker.Failure
	default:
		return breaker.Excluded
	}
}

// openBreaker makes the breaker of a backend, if it is to have one.
func (s *Server) openBreaker(f *inForce, c *config.Backend) error {
	if c.Breaker == nil {
		return nil
	}
	log := s.log.Named("breaker")
	b, err := breaker.New(breaker.Options{
		Name:     c.Name,
		Settings: breakerSettings(c),
		OnEvent:  func(e breaker.Event) { s.breakerMoved(log, e) },
	})
	if err != nil {
		return err
	}
	f.breakers[c.Name] = b
	return nil
}

func (s *Server) closeBreakers() {
	for _, b := range s.now().breakers {
		b.Stop()
	}
}

// ejectionTime is how long failures in a row must go on before they open a
// breaker whose backend has bad endpoints ejected: long enough for the good ones
// to answer, and for the ejection to show.
const ejectionTime = 100 * time.Millisecond

func breakerSettings(of *config.Backend) breaker.Settings {
	c := of.Breaker
	s := breaker.Settings{
		Window:       time.Duration(c.Window),
		Consecutive:  c.Trip.Consecutive,
		FailureRatio: c.Trip.FailureRatio,
		MinRequests:  c.Trip.MinRequests,
		OpenFor:      time.Duration(c.OpenFor),
		MaxOpenFor:   time.Duration(c.MaxOpenFor),
		Probes:       c.HalfOpen.Probes,
		ProbeTimeout: time.Duration(c.HalfOpen.ProbeTimeout),
	}
	if of.Outlier != nil {
		s.Lasting = ejectionTime
	}
	return s
}

// breakerMoved writes a change of state down, once.
func (s *Server) breakerMoved(log *zap.Logger, e breaker.Event) {
	if m := s.watch.monitor; m != nil {
		m.metrics.BreakerMoved(e.Backend, e.From.String(), e.To.String())
	}
	fields := []zap.Field{
		zap.String("backend", e.Backend), zap.String("from", e.From.String()), zap.String("to", e.To.String()), zap.String("reason", e.Reason),
	}
	if e.To == breaker.Open {
		fields = append(fields, zap.Duration("retry_in", e.RetryIn))
	}
	if e.Missed > 0 {
		fields = append(fields, zap.Uint64("changes_not_shown", e.Missed))
	}
	if e.To == breaker.Open || e.To == breaker.ForcedOpen {
		log.Warn("breaker opened", fields...)
		return
	}
	log.Info("breaker moved", fields...)
}

// breakerFigures are the breakers for a scrape.
func (s *Server) breakerFigures() []metrics.Breaker {
	breakers := s.now().breakers
	all := make([]metrics.Breaker, 0, len(breakers))
	for name, b := range breakers {
		st := b.Status()
		all = append(all, metrics.Breaker{
			Backend: name, State: st.State.String(), Rejected: st.Totals.Rejected, Late: st.Totals.Late, ProbeTimeouts: st.Totals.ProbeTimeouts,
		})
	}
	return all
}

func breakerStates() []string {
	var names []string
	for _, s := range breaker.States() {
		names = append(names, s.String())
	}
	return names
}

// breakerViews are in the order of the backends.
func (s *Server) breakerViews() []inspector.BreakerView {
	f, now := s.now(), time.Now()
	var views []inspector.BreakerView
	for i := range f.cfg.Backends {
		b := f.breakers[f.cfg.Backends[i].Name]
		if b == nil {
			continue
		}
		st := b.Status()
		t := &st.Totals
		v := inspector.BreakerView{
			Backend: st.Name, State: st.State.String(), FailureRatio: st.FailureRatio(), Verdicts: st.Verdicts,
			Consecutive: st.Consecutive, Openings: st.Openings, Probing: st.Probing, Since: st.Since,
			LastError: st.LastError, LastErrorAt: st.LastErrorAt,
			Totals: inspector.BreakerTotals{
				Allowed: t.Allowed, Rejected: t.Rejected, Successes: t.Successes, Failures: t.Failures + t.Afterwards, Excluded: t.Excluded,
				Late: t.Late, Probes: t.Probes, ProbeTimeouts: t.ProbeTimeouts, Openings: t.Openings,
			},
		}
		if st.State == breaker.Open {
			v.NextProbe = now.Add(st.NextProbe)
		}
		views = append(views, v)
	}
	return views
}

// controlBreaker does what an operator tells the breaker of a backend: open,
// close, auto or reset. by says who it is.
func (s *Server) controlBreaker(backend, action, by string) error {
	b := s.now().breakers[backend]
	if b == nil {
		return fmt.Errorf("backend %q has no breaker", backend)
	}
	switch action {
	case "open":
		b.Open(by)
	case "close":
		b.Close(by)
	case "auto":
		b.Auto(by)
	case "reset":
		b.Reset(by)
	default:
		return fmt.Errorf("a breaker knows open, close, auto and reset, not %q", action)
	}
	return nil
}
