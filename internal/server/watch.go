package server

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
	"loom/internal/config"
	"loom/internal/inspector"
)

// newGeneration numbers a process: milliseconds since 2026 began, so that each
// that starts has a number which none had before, however quickly it follows.
func newGeneration(now time.Time) uint64 {
	begin := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	return uint64(max(now.Sub(begin)/time.Millisecond, 1))
}

// watch is everything that looks at calls. A relay never waits for it.
type watch struct {
	// Immutable.
	log       *zap.Logger
	schemas   *schemas
	store     *capture.Store
	sessions  *capture.SessionOptions // nil: calls are not written
	carry     *carry
	tally     *tally
	heard     *heard
	inspector *inspector.Server // nil: there is none
	tokenMade bool              // by the inspector, or by that of the process before
	page      net.Listener      // of the inspector
	records   *inspector.Records
	admin     *administration // nil: there is none
	monitor   *monitor        // nil: there is none

	// Owned by the goroutine of New, then by that of Serve.
	carried    bool             // the list of calls is that of the process before
	session    *capture.Session // nil: calls are not written, or not yet
	forwarding *forwarding      // nil: no process has replaced this one

	running sync.WaitGroup
}

// newWatch builds what the configuration asks for, and binds its listeners.
func (s *Server) newWatch(cfg *config.Config, o Options) (*watch, error) {
	w := &watch{log: o.Log, schemas: newSchemas(s.now, o), tally: newTally(cfg)}
	c := &cfg.Capture
	w.carry = newCarry(s.generations.own, o.Estate, time.Now(), o.Log)
	w.heard = newHeard(s.generations.own - 1)
	generation := w.carry.process
	mode, err := captureMode(c.Mode)
	if err != nil {
		return w, err
	}
	w.store, err = capture.New(capture.Options{
		Generation: generation, Calls: c.Ring.Calls, Bytes: int64(c.Ring.Bytes), MessageBytes: int(c.MessageBytes),
		Mode: mode, RouteModes: routeModes(cfg), Redact: c.Redact.Metadata, Rules: w.schemas.rules,
	})
	if err != nil {
		return w, err
	}
	w.store.Uncertain(o.Heir != nil)
	w.nameSession(c, o)
	if w.monitor, err = s.openMonitor(w.store, cfg, o); err != nil {
		return w, err
	}
	ro := inspector.RecordsOptions{
		Store: w.store, Decoder: w.schemas.decoder, Schemas: w.schemas.cache,
		Redact: func(c *loomv1.Call) { w.schemas.redact(w.store.Mode(), c) },
	}
	if cfg.Inspector == nil || cfg.Inspector.Replay {
		ro.Replayer = s.replayer(w)
	}
	w.records = inspector.NewRecords(ro)
	panels := s.panels(o, generation)
	if cfg.Inspector != nil {
		if err := s.openInspector(w, cfg, o, ro, panels, generation); err != nil {
			return w, err
		}
	}
	w.admin, err = s.openAdmin(w, cfg, o, panels)
	return w, err
}

func captureMode(mode string) (capture.Mode, error) {
	for _, m := range []capture.Mode{capture.Full, capture.Metadata, capture.Off} {
		if m.String() == mode {
			return m, nil
		}
	}
	return 0, fmt.Errorf("there is no capture mode %q: full, metadata or off", mode)
}

func routeModes(cfg *config.Config) map[string]capture.Mode {
	modes := make(map[string]capture.Mode)
	for i := range cfg.Routes {
		if m, err := captureMode(cfg.Routes[i].Capture); err == nil {
			modes[cfg.Routes[i].Name] = m
		}
	}
	return modes
}

// nameSession says where the session file is, if there is to be one.
func (w *watch) nameSession(c *config.Capture, o Options) {
	if c.Session == "" {
		return
	}
	w.sessions = &capture.SessionOptions{
		Dir: o.stateFolder("sessions"), Name: c.Session, Size: int64(c.SessionSize), Files: c.SessionFiles,
		Log: o.Log.Named("session"),
	}
}

func (s *Server) openInspector(w *watch, cfg *config.Config, o Options, ro inspector.RecordsOptions, panels inspector.Panels, generation uint64) error {
	token, err := readToken(cfg.Inspector.TokenFile)
	if err != nil {
		return err
	}
	w.tokenMade = token == ""
	if w.tokenMade {
		token = tokenBefore(o.Estate, w.log)
	}
	page, err := s.binder.listenPage(cfg.Inspector, s.reportFiles("listener", "inspector"))
	if err != nil {
		return err
	}
	w.page = page
	w.inspector, err = inspector.New(inspector.Options{
		RecordsOptions: ro,
		ControlBreaker: func(backend, action string) error { return s.controlBreaker(backend, action, "the inspector") },
		Address:        page.Addr().String(), AllowHosts: cfg.Inspector.AllowHosts,
		TLS: cfg.Inspector.TLS != nil, Token: token,
		Info:   s.info(o, generation),
		Panels: panels, DrainEndpoint: s.drainEndpoint,
		Log: o.Log.Named("inspector"),
	})
	if err != nil {
		return fmt.Errorf("open the inspector: %w", err)
	}
	return nil
}

// start looks for drift until ctx ends, and serves what people and machines
// look at until facing does.
func (w *watch) start(ctx, facing context.Context) {
	if w.sessions != nil {
		w.session = w.store.OpenSession(*w.sessions)
	}
	w.running.Go(func() { w.tally.run(ctx) })
	check := &driftCheck{store: w.store, schemas: w.schemas}
	w.running.Go(func() { check.run(ctx) })
	if w.monitor != nil {
		w.running.Go(func() {
			w.heard.wait(facing)
			w.monitor.serve(facing, w.log)
		})
	}
	if w.admin != nil {
		w.running.Go(func() {
			w.heard.wait(facing)
			w.admin.serve(facing, w.log)
		})
	}
	if w.inspector == nil {
		return
	}
	w.running.Go(func() {
		w.heard.wait(facing)
		if err := w.inspector.Serve(facing, w.page); err != nil {
			w.log.Error("inspector ended", zap.Error(err))
		}
	})
}

// close ends everything. No call is open any more.
func (w *watch) close() error {
	w.running.Wait()
	if w.page != nil {
		_ = w.page.Close() // Serve has closed it, if it ran
	}
	if w.admin != nil {
		if err := w.admin.close(); err != nil {
			w.log.Warn("close the admin socket", zap.Error(err))
		}
	}
	if w.monitor != nil {
		w.monitor.close(w.log)
	}
	switch {
	case w.forwarding != nil:
		w.forwarding.end() // it has closed the session
	case w.session != nil:
		w.session.Close()
	}
	w.schemas.cache.Close()
	if w.store == nil {
		return nil
	}
	return w.store.Close()
}

// stateFolder is where one kind of state is kept between runs; empty: nowhere.
func (o *Options) stateFolder(kind string) string {
	if o.StateDir == "" {
		return ""
	}
	return filepath.Join(o.StateDir, kind)
}
