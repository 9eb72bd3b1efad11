package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"loom/internal/config"
	"loom/internal/h2"
	"loom/internal/hotrestart"
	"loom/internal/ledger"
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
	// Version is shown to people.
	Version string
	// File is where the configuration came from, and is applied again when it
	// changes; nil: it came from flags.
	File *ConfigFile
	// Level is that of Log, which a configuration may change; nil: none can.
	Level *zap.AtomicLevel
	// Admin is where operators reach this loomd.
	Admin AdminSocket
	// Command is how this process was started: a reload starts another one
	// alike. nil: there are no reloads.
	Command *hotrestart.Command
	// Heir is what the process before this one hands over; nil: there was none.
	// Its Prepared has to be called between New and Serve.
	Heir *hotrestart.Heir
	// Crossing is state that reloads carry beside the server's own.
	Crossing []hotrestart.Section
	// Inherited has listening sockets that this process takes over, if they are
	// not those of Heir; nil: it binds all of its own.
	Inherited Inheritance
	// Sockets are those that systemd made for this process. New takes them over,
	// or closes them.
	Sockets []systemd.Socket
	// Estate is the state that the process before left, if it is not that of
	// Heir; nil: there was none.
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
	pid      int
	started  time.Time

	generations *generations
	reloads     *reloads
	replaced    chan struct{} // closed when another process has taken over for good
	departure   departure

	// Owned by the goroutine of Serve.
	reporting *reporting // to the successor; nil while there is none
	both      bool       // SIGTERM came for this process and its successor

	ledger  *ledger.Ledger // immutable
	calls   carriedCalls
	telling atomic.Pointer[reporting] // as reporting, for who is asked for figures

	force atomic.Pointer[inForce]

	accepting sync.WaitGroup // listeners
	conns     sync.WaitGroup // connections that are served or refused
	refusing  chan struct{}  // holds a token for each peer that is being refused
	retired   retirement

	applying sync.Mutex // held by who changes what is in force; comes before all others
	serving  bool       // guarded by applying: something may be applied
	reading  sync.Mutex // held by who reads the file and applies it; comes before applying
	config   configState
}

// New builds what cfg describes and binds its listeners.
func New(cfg *config.Config, o Options) (*Server, error) {
	activated := activate(cfg, o.Sockets, o.Log)
	defer activated.close()
	if o.Inherited == nil {
		o.Inherited = activated
	}
	generation := 1
	if o.Heir != nil {
		o.Inherited, o.Estate, generation = o.Heir, heirEstate{o.Heir}, o.Heir.Generation()
	}
	s := &Server{
		log:         o.Log,
		counters:    new(Counters),
		binder:      newBinder(o.Inherited, o.Heir != nil),
		tickets:     pki.NewTickets(),
		opts:        o,
		refusing:    make(chan struct{}, refusals),
		pid:         os.Getpid(),
		started:     time.Now(),
		generations: newGenerations(generation, o.Log.Named("reload")),
		reloads:     newReloads(),
		replaced:    make(chan struct{}),
	}
	s.generations.reports, s.generations.sure = s.reports, s.becomeOwner
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
	if o.Heir != nil {
		s.warnOfLost(o.Heir)
	}
	s.watch.loadSession()
	if s.watch.carried && s.watch.inspector != nil {
		s.watch.inspector.Continue(generation)
	}
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
	if err := s.build(f, observe(s.watch.store, ended)); err != nil {
		return err
	}
	s.calls.own = s.relay.Calls
	s.ledger = s.newLedger()
	return nil
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

// Serve accepts and relays until ctx ends or another process has taken over
// (see Reload), then drains: no new connections are taken, open calls go on
// until cut ends, or restart.drain after a reload. It returns when everything
// has stopped. An error says that it could not begin.
func (s *Server) Serve(ctx, cut context.Context) error {
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	facing, stopFacing := context.WithCancel(watching)
	defer stopFacing()
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	s.generations.stop = stopServing
	s.watch.start(watching, facing)
	for _, l := range s.now().listeners {
		s.welcome(l)
	}
	err := s.succeed()
	if err != nil {
		stopServing()
	}
	s.settled(true)
	s.watch.ready()
	attended := s.attend(serving)
	var tending sync.WaitGroup
	tending.Go(func() { s.tend(serving) })
	next := s.takeReloads(serving)
	stopServing()
	tending.Wait()
	s.settled(false)
	attended()
	s.closeListeners()
	s.accepting.Wait()
	s.stopping()
	if next != nil {
		close(s.replaced)
		stopFacing()
		s.leave(ctx, cut, next)
	} else {
		s.watch.notReady("draining")
		s.end(cut)
	}
	s.retired.end()
	s.closeBackends()
	s.closeBreakers()
	stopWatching()
	if err := s.closeWatch(); err != nil {
		s.log.Warn("close what watches", zap.Error(err))
	}
	if next != nil {
		s.part(ctx, cut, next)
	}
	return err
}

// succeed tells the process before that this one accepts, and hears from all
// that drain.
func (s *Server) succeed() error {
	if s.opts.Heir == nil {
		return nil
	}
	if err := s.opts.Heir.Serving(); err != nil {
		return fmt.Errorf("tell the process before that this one serves: %w", err)
	}
	s.generations.inherit(s.opts.Heir.Links(), s.now().cfg.Restart.Generations)
	return nil
}

// becomeOwner has what belongs to all processes of a loomd be this one's: the one
// before it will not take over again.
func (s *Server) becomeOwner() {
	s.binder.own()
	s.watch.store.Uncertain(false)
	s.tell(s.opts.Systemd.TakeOver())
}

// end drains, after older processes have been told to hurry, and waits for
// them, too. When cut ends, or restart.drain is over, they are cut off as this
// one is.
func (s *Server) end(cut context.Context) {
	cut, cancel := context.WithTimeout(cut, time.Duration(s.now().cfg.Restart.Drain))
	defer cancel()
	s.generations.orderAll(orderEnd)
	s.drain(0, haste{cut: cut.Done()})
	if !s.generations.wait(cut) {
		s.generations.orderAll(orderNow)
		late, cancel := context.WithTimeout(context.Background(), cutAfter)
		defer cancel()
		if !s.generations.wait(late) {
			s.log.Warn("older processes do not end, and are left alone", zap.Int("processes", len(s.generations.all())))
		}
	}
	s.generations.rest()
}

// DrainTime is how long open calls may go on when the server is told to stop,
// as the configuration in force has it.
func (s *Server) DrainTime() time.Duration { return time.Duration(s.now().cfg.Restart.Drain) }

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

// Replaced is closed when another process has taken over for good: what belongs
// to all processes of a loomd is that one's.
func (s *Server) Replaced() <-chan struct{} { return s.replaced }

// Bound are the keys of the listening sockets that were not taken over.
func (s *Server) Bound() []string { return s.binder.fresh() }

// Close lets go of everything. It is for a server whose Serve is not called.
func (s *Server) Close() {
	s.closeListeners()
	s.closeBackends()
	s.closeBreakers()
	if err := s.closeWatch(); err != nil {
		s.log.Warn("close what watches", zap.Error(err))
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
