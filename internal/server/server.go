package server

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"loom/internal/config"
	"loom/internal/h2"
	"loom/internal/pki"
	"loom/internal/relay"
	"loom/internal/systemd"
)

// Options is what a Server needs besides its configuration. Log is required.
type Options struct {
	Log *zap.Logger
	// Ended are told of each call when it is over.
	Ended []Ended
	// StateDir is where sessions and descriptors are kept between runs;
	// empty: nowhere.
	StateDir string
	// Certificate is what listeners without tls of their own show, in place of
	// clear text; nil: there is none.
	Certificate *tls.Certificate
	// Version and ConfigPath are shown to people.
	Version, ConfigPath string
	// Admin is where operators reach this loomd.
	Admin AdminSocket
	// Inherited has listening sockets that this process takes over; nil: it
	// binds all of its own.
	Inherited Inheritance
	// Sockets are those that systemd made for this process. New takes them over,
	// or closes them.
	Sockets []systemd.Socket
	// Estate is the state that the process before left; nil: there was none.
	Estate Estate
	// Systemd is told how this process fares; nil: nobody is.
	Systemd *systemd.Notifier
}

// Server is a running configuration.
type Server struct {
	// Immutable.
	opts     Options
	log      *zap.Logger
	counters *Counters
	binder   *binder
	budget   *h2.Budget
	relay    *relay.Relay
	watch    *watch
	tickets  *pki.Tickets
	systemd  *systemd.Notifier

	force atomic.Pointer[inForce]

	accepting sync.WaitGroup // listeners
	conns     sync.WaitGroup // connections that are served or refused
	refusing  chan struct{}  // holds a token for each peer that is being refused
	retired   retirement

	applying sync.Mutex // held by who changes what is in force; comes before all others
	serving  bool       // guarded by applying: something may be applied
}

// New builds what cfg describes and binds its listeners.
func New(cfg *config.Config, o Options) (*Server, error) {
	activated := activate(cfg, o.Sockets, o.Log)
	defer activated.close()
	if o.Inherited == nil {
		o.Inherited = activated
	}
	s := &Server{
		opts:     o,
		log:      o.Log,
		counters: new(Counters),
		binder:   newBinder(o.Inherited),
		tickets:  pki.NewTickets(),
		systemd:  o.Systemd,
		refusing: make(chan struct{}, refusals),
	}
	s.budget = h2.NewBudget(bufferedTotal(&cfg.Limits), &s.counters.H2)
	s.force.Store(newInForce(cfg))
	s.retired.over = make(chan struct{})
	if err := s.open(cfg, o); err != nil {
		s.closeListeners()
		s.closeBackends()
		s.closeBreakers()
		return nil, errors.Join(err, s.closeWatch())
	}
	activated.report()
	if o.Estate != nil {
		s.restore(o.Estate)
	}
	s.watch.loadSession()
	return s, nil
}

// open builds the parts, and binds their sockets.
func (s *Server) open(cfg *config.Config, o Options) error {
	f := s.now()
	var err error
	if f.tls, err = s.backendsTLS(cfg.Backends); err != nil {
		return err
	}
	for i := range cfg.Listeners {
		t, err := s.termsOf(&cfg.Listeners[i], f, nil)
		if err != nil {
			return err
		}
		l, err := s.listen(&cfg.Listeners[i], t)
		if err != nil {
			return err
		}
		f.listeners = append(f.listeners, l)
	}
	if s.watch, err = s.newWatch(cfg, o); err != nil {
		return err
	}
	ended := append(slices.Clone(o.Ended), s.watch.tally)
	if m := s.watch.monitor; m != nil {
		ended = append(ended, m.metrics)
	}
	return s.build(f, observe(s.watch.store, ended))
}

func (s *Server) closeWatch() error {
	if s.watch == nil {
		return nil
	}
	return s.watch.close()
}

// InspectorURL returns where to see the calls, with the token; empty if there
// is no inspector.
func (s *Server) InspectorURL() string {
	if s.watch.inspector == nil {
		return ""
	}
	return s.watch.inspector.URL()
}

func (s *Server) build(f *inForce, observer relay.Observer) error {
	for i := range f.cfg.Backends {
		c := &f.cfg.Backends[i]
		if err := s.openBreaker(f, c); err != nil {
			return err
		}
		if err := s.openBackend(f, c); err != nil {
			return err
		}
	}
	rules, err := f.rules()
	if err != nil {
		return err
	}
	s.relay, err = relay.New(relay.Options{
		Rules:    rules,
		H2:       &h2.Options{Limits: f.limits, Budget: s.budget, Counters: &s.counters.H2},
		Counters: &s.counters.Relay,
		Observer: observer,
	})
	if err != nil {
		return err
	}
	for name := range f.backends {
		f.since[name] = s.relay.Tables()
	}
	return nil
}

// Serve accepts and relays until ctx ends, then drains: no new connections
// are taken, open calls go on until cut ends. It returns when everything has
// stopped.
func (s *Server) Serve(ctx, cut context.Context) {
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	s.watch.start(watching)
	for _, l := range s.now().listeners {
		s.welcome(l)
	}
	s.settled(true)
	s.watch.ready()
	attended := s.attend(ctx)
	<-ctx.Done()
	s.settled(false)
	attended()
	s.stopping()
	s.watch.notReady("draining")
	s.closeListeners()
	s.accepting.Wait()
	s.drain(0, haste{cut: cut.Done()})
	s.retired.end()
	s.closeBackends()
	s.closeBreakers()
	stopWatching()
	if err := s.closeWatch(); err != nil {
		s.log.Warn("close what watches", zap.Error(err))
	}
}

// settled says whether other configurations may be applied from now on. It
// waits for one that is on its way.
func (s *Server) settled(serving bool) {
	s.applying.Lock()
	s.serving = serving
	s.applying.Unlock()
}

func (s *Server) closeListeners() {
	for _, l := range s.now().listeners {
		s.closeListener(l)
	}
}

func (s *Server) closeListener(l *listener) {
	if err := l.close(); err != nil && !errors.Is(err, errListenerClosed) {
		s.log.Warn("close listener", zap.String("listener", l.name()), zap.Error(err))
	}
}

func (s *Server) closeBackends() {
	for _, k := range s.now().backends {
		k.Close()
	}
}

// Addresses returns where the listeners listen, in the order of the configuration.
func (s *Server) Addresses() []string {
	var all []string
	for _, l := range s.now().listeners {
		all = append(all, l.address())
	}
	return all
}
