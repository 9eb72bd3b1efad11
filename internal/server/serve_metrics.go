package server

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"loom/internal/capture"
	"loom/internal/config"
	"loom/internal/metrics"
)

// monitorMode lets every user of the machine connect, as a port does. The
// folder of the socket may say otherwise.
const monitorMode = 0o666

// monitor is what machines read: figures, and whether calls are served.
type monitor struct {
	// Immutable.
	metrics  *metrics.Metrics
	server   *metrics.Server
	listener *listener
}

// openMonitor binds the listener for metrics; nil if there is to be none.
func (s *Server) openMonitor(store *capture.Store, cfg *config.Config, o Options) (*monitor, error) {
	if cfg.Metrics == nil {
		return nil, nil
	}
	all, err := metrics.New(metrics.Options{
		Version:  o.Version,
		CodeName: codeName,
		// The relay and the ledger are made later.
		InFlight: func() int { return s.relay.OpenCalls() + s.ledger.Level(levelCalls) },
		Draining: func() map[int]int { return s.ledger.Levels(levelCalls) },
		Capture:  func() metrics.Capture { return captureFigures(store.Stats()) },
		Limits:   s.limitFigures(),
		Config:   s.configFigures,
		Breakers: s.breakerFigures, BreakerStates: breakerStates(),
		Backends: s.backendFigures, EndpointStates: endpointStates(),
		Shown: s.shown,
	})
	if err != nil {
		return nil, err
	}
	c := &config.Listener{Name: "metrics", Address: cfg.Metrics.Address, Mode: monitorMode}
	l, err := s.listen(c, &terms{config: c, name: c.Name})
	if err != nil {
		return nil, err
	}
	return &monitor{metrics: all, server: metrics.NewServer(all), listener: l}, nil
}

func captureFigures(st capture.Stats) metrics.Capture {
	return metrics.Capture{
		Seen: st.Seen, Kept: st.Kept, Open: st.Open, Bytes: st.Bytes,
		Calls: st.Dropped, Messages: st.NoRoom, Unredacted: st.Unredacted, Unshown: st.Unshown, Session: st.Session,
	}
}

func (s *Server) configFigures() metrics.Config {
	return metrics.Config{
		Problem: s.config.problem.Load() != nil, Applied: s.config.applied.Load(), Refused: s.config.refused.Load(), Since: s.now().shown.Loaded,
	}
}

func (s *Server) limitFigures() []metrics.Limit {
	var all []metrics.Limit
	for _, l := range s.counters.limits() {
		all = append(all, metrics.Limit{Name: l.name, Help: l.help, Hits: l.n.Load})
	}
	return all
}

// serve answers until ctx ends.
func (m *monitor) serve(ctx context.Context, log *zap.Logger) {
	log.Info("serving metrics", zap.String("address", m.listener.address()))
	if err := m.server.Serve(ctx, m.listener.net); err != nil {
		log.Error("metrics ended", zap.Error(err))
	}
}

// close gives the address back.
func (m *monitor) close(log *zap.Logger) {
	if err := m.listener.close(); err != nil && !errors.Is(err, errListenerClosed) {
		log.Warn("close the listener for metrics", zap.Error(err))
	}
}

// ready tells who asks that calls are served.
func (w *watch) ready() {
	if w.monitor != nil {
		w.monitor.server.Ready()
	}
}

// notReady tells who asks why calls should go elsewhere.
func (w *watch) notReady(reason string) {
	if w.monitor != nil {
		w.monitor.server.NotReady(reason)
	}
}
