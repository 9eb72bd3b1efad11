package server

import (
	"fmt"
	"slices"
	"time"

	"loom/internal/backend"
	"loom/internal/breaker"
	"loom/internal/config"
	"loom/internal/h2"
	"loom/internal/inspector"
	"loom/internal/pki"
	"loom/internal/relay"
)

// inForce is all that one configuration made. Once it is in force nobody
// changes it: another configuration makes another one, which takes over what
// stays as it is.
type inForce struct {
	cfg       *config.Config
	limits    h2.Limits
	reception reception
	tls       map[string]*pki.Client // of backends, by name
	backends  map[string]*backend.Backend
	breakers  map[string]*breaker.Breaker // of the backends that have one
	since     map[string]*relay.Tables    // the first that spoke of a backend that is in use
	listeners []*listener                 // in the order of the configuration
	leaving   []*listener                 // closed, and some had connections that drain
	shown     inspector.ConfigView
}

func newInForce(cfg *config.Config) *inForce {
	return &inForce{
		cfg:       cfg,
		limits:    h2Limits(&cfg.Limits),
		reception: newReception(&cfg.Limits),
		tls:       make(map[string]*pki.Client),
		backends:  make(map[string]*backend.Backend),
		breakers:  make(map[string]*breaker.Breaker),
		since:     make(map[string]*relay.Tables),
		shown:     inspector.NewConfigView("", time.Now(), config.Show(cfg)),
	}
}

// all are the listeners that may have connections.
func (f *inForce) all() []*listener { return slices.Concat(f.listeners, f.leaving) }

// now returns what is in force. Who needs several parts of it that belong
// together asks once.
func (s *Server) now() *inForce { return s.force.Load() }

// rules are what the relay has to know of it.
func (f *inForce) rules() (relay.Rules, error) {
	table, err := compileRoutes(f.cfg.Routes)
	if err != nil {
		return relay.Rules{}, fmt.Errorf("compile routes: %w", err)
	}
	r := relay.Rules{
		Routes:      table,
		Backends:    f.backends,
		Breakers:    make(map[string]relay.Breaker, len(f.breakers)),
		Policies:    make(map[string]relay.Policy, len(f.backends)),
		KeptRequest: int(f.cfg.Limits.KeptRequest),
	}
	for name, b := range f.breakers {
		r.Breakers[name] = guard{b}
	}
	for i := range f.cfg.Backends {
		r.Policies[f.cfg.Backends[i].Name] = policy(&f.cfg.Backends[i])
	}
	return r, nil
}
