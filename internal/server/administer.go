package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"go.uber.org/zap"

	"loom/internal/admin"
	"loom/internal/config"
	"loom/internal/inspector"
)

// administration is the admin service and its socket.
type administration struct {
	// Immutable.
	service *admin.Server
	socket  *socket
}

// openAdmin binds the admin socket; nil if there is to be none. A socket that
// nobody asked for is gone without if it cannot be had.
func (s *Server) openAdmin(w *watch, cfg *config.Config, o Options, panels inspector.Panels) (*administration, error) {
	if o.Admin.Path == "" {
		return nil, nil
	}
	service, err := admin.New(admin.Options{
		Log: o.Log.Named("admin"), Group: cfg.Admin.Group, ReadOnly: cfg.Admin.ReadOnly,
		Counters: &s.counters.Admin,
		Panels:   panels, Records: w.records, Store: w.store, Control: controls{s},
		Running:      func() *config.Config { return s.now().cfg },
		Apply:        s.applyFor,
		Env:          os.LookupEnv,
		Look:         func(c *config.Config) []config.Finding { return CheckFiles(c, time.Now(), true) },
		InspectorURL: s.InspectorURL,
		Shown:        s.shown,
	})
	if err != nil {
		return nil, err
	}
	l, err := s.binder.listenAdmin(o.Admin, cfg.Admin.Group)
	if err != nil {
		if !o.Admin.Chosen {
			return nil, err
		}
		o.Log.Warn("there is no admin socket: loomctl does not find this loomd; say where it is to be with -admin, or -admin off",
			zap.String("socket", o.Admin.Path), zap.Error(err))
		return nil, nil
	}
	return &administration{service: service, socket: l}, nil
}

// serve answers until ctx ends.
func (a *administration) serve(ctx context.Context, log *zap.Logger) {
	log.Info("admin", zap.String("socket", a.socket.path))
	if err := a.service.Serve(ctx, a.socket); err != nil {
		log.Error("admin ended", zap.Error(err))
	}
}

// close frees the socket. It may be called after serve, or without it.
func (a *administration) close() error {
	if err := a.socket.Close(); err != nil && !errors.Is(err, net.ErrClosed) { // serve has closed it, if it ran
		return err
	}
	return nil
}

// applyFor applies the file for an operator.
func (s *Server) applyFor(ctx context.Context) (config.Changes, config.Warnings, error) {
	done, err := s.ApplyFile(ctx)
	if _, wrong := errors.AsType[config.Errors](err); err != nil && !wrong {
		err = &admin.RefusedError{Why: err.Error()}
	}
	return done.Changes, done.Warnings, err
}

// controls does what operators ask for.
type controls struct{ server *Server }

// DrainEndpoint takes an endpoint out of the rotation, or back into it.
func (c controls) DrainEndpoint(backend, endpoint string, drained bool) error {
	if err := c.server.drainEndpoint(backend, endpoint, drained); err != nil {
		return &admin.NotFoundError{What: err.Error()}
	}
	return nil
}

// Reload has a fresh process take over.
func (c controls) Reload(ctx context.Context, by string, say func(line string) error) (admin.Successor, error) {
	return c.server.Reload(ctx, by, say)
}

// ControlBreaker does what an operator tells a breaker.
func (c controls) ControlBreaker(backend, action, by string) error {
	if c.server.now().backends[backend] == nil {
		return &admin.NotFoundError{What: fmt.Sprintf("there is no backend %q", backend)}
	}
	if err := c.server.controlBreaker(backend, action, by); err != nil {
		return &admin.RefusedError{Why: err.Error()}
	}
	return nil
}
