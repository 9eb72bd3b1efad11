package relay_test

import (
	"context"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/backend"
	"loom/internal/h2"
	"loom/internal/loomtest"
	"loom/internal/relay"
	"loom/internal/route"
)

func TestMain(m *testing.M) { os.Exit(loomtest.CheckLeaksMain(m)) }

// rig is a relay with one backend, between scripted peers.
type rig struct {
	t        *testing.T
	opts     rigOptions
	relay    *relay.Relay
	backend  *backend.Backend
	backends map[string]*backend.Backend
	counters *h2.Counters
	budget   *h2.Budget
	observer *observer
	calls    relay.Counters
	dialer   *loomtest.Listener                      // where the backend's connections arrive, in memory
	dial     func(context.Context) (net.Conn, error) // takes the place of dialer if set
	ups      *loomtest.UpstreamListener
	others   map[string]*otherBackend // besides "b"
	serving  sync.WaitGroup
}

// rigOptions is what a test may change.
type rigOptions struct {
	limits      h2.Limits
	budget      int64
	keptRequest int
	connections int
	pending     int
	concurrent  int
	balance     backend.Balance
	keepalive   time.Duration
	rules       []route.Rule
	upstream    []loomtest.Option
	tcp         bool
	targets     []string // of "b"; each is an address of its own, but the first is ups
	others      []string // further backends, in memory
	breakers    map[string]relay.Breaker
	policies    map[string]relay.Policy
	caller      relay.Caller
}

// otherBackend is a further backend of a rig, or a further endpoint of "b".
type otherBackend struct {
	backend *backend.Backend // nil: an endpoint of "b"
	dialer  *loomtest.Listener
	ups     *loomtest.UpstreamListener
}

func defaultRigOptions() rigOptions {
	return rigOptions{
		limits: h2.DefaultLimits(), budget: 64 << 20, keptRequest: 64 << 10,
		connections: 4, pending: 256, targets: []string{"upstream"},
		rules: []route.Rule{{Name: "all", Backends: []route.Weighted{{Name: "b", Weight: 1}}}},
	}
}

// newRig starts the relay. Its cleanup, which comes after that of the peers,
// stops it and checks that nothing is left.
func newRig(t *testing.T, change ...func(*rigOptions)) *rig {
	t.Helper()
	o := defaultRigOptions()
	for _, f := range change {
		f(&o)
	}
	r := &rig{t: t, opts: o, counters: new(h2.Counters), observer: newObserver(t), others: make(map[string]*otherBackend)}
	r.budget = h2.NewBudget(o.budget, r.counters)
	h2o := func() *h2.Options {
		return &h2.Options{Limits: o.limits, Budget: r.budget, Counters: r.counters}
	}
	upstream := h2o()
	upstream.KeepaliveInterval, upstream.KeepaliveTimeout = o.keepalive, o.keepalive
	t.Cleanup(r.stop)
	dial := r.listenUpstream()
	r.backends = make(map[string]*backend.Backend)
	open := func(name string, addresses ...string) *backend.Backend {
		var targets []backend.Target
		for _, a := range addresses {
			targets = append(targets, backend.Target{URI: "passthrough:///" + a})
		}
		k, err := backend.New(backend.Options{
			Name: name, Targets: targets, H2: upstream, Balance: o.balance, HashMetadata: "x-user", Concurrent: o.concurrent,
			Connections: o.connections, Pending: o.pending, ConnectTimeout: 20 * time.Second,
			Dial: dial,
		})
		if err != nil {
			t.Fatal(err)
		}
		r.backends[name] = k
		return k
	}
	for i, address := range o.targets {
		if i > 0 {
			r.listenOther(address)
		}
	}
	for _, name := range o.others {
		r.listenOther(name).backend = open(name, name)
	}
	r.backend = open("b", o.targets...)
	var err error
	r.relay, err = relay.New(relay.Options{Rules: r.rules(o.rules...), H2: h2o(), Observer: r.observer, Counters: &r.calls})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rules are those of the rig with the routes given.
func (r *rig) rules(routes ...route.Rule) relay.Rules {
	r.t.Helper()
	table, err := route.Compile(routes)
	if err != nil {
		r.t.Fatal(err)
	}
	o := &r.opts
	return relay.Rules{Routes: table, Backends: r.backends, Breakers: o.breakers, Policies: o.policies, KeptRequest: o.keptRequest}
}

// listenOther has something answer at a further address, in memory.
func (r *rig) listenOther(address string) *otherBackend {
	x := &otherBackend{dialer: loomtest.Listen()}
	x.ups = loomtest.ServeUpstream(r.t, x.dialer, r.opts.upstream...)
	r.others[address] = x
	return x
}

func (r *rig) listenUpstream() func(context.Context, string, string) (net.Conn, error) {
	if !r.opts.tcp {
		r.dialer = loomtest.Listen()
		r.ups = loomtest.ServeUpstream(r.t, r.dialer, r.opts.upstream...)
		return func(ctx context.Context, _, address string) (net.Conn, error) {
			if x := r.others[address]; x != nil {
				return x.dialer.DialAddr(ctx, "")
			}
			if r.dial != nil {
				return r.dial(ctx)
			}
			return r.dialer.DialAddr(ctx, "")
		}
	}
	ln := listenTCP(r.t)
	r.ups = loomtest.ServeUpstream(r.t, ln, r.opts.upstream...)
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
	}
}

// connect returns the caller's end of a connection that the relay serves.
func (r *rig) connect() net.Conn {
	r.t.Helper()
	if !r.opts.tcp {
		mine, theirs := loomtest.Pipe(loomtest.DefaultCapacity, loomtest.DefaultCapacity)
		r.serve(theirs)
		return mine
	}
	ln := listenTCP(r.t)
	mine, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	theirs, err := ln.Accept()
	if err != nil {
		r.t.Fatal(err)
	}
	_ = ln.Close()
	r.serve(theirs)
	return mine
}

func (r *rig) serve(conn net.Conn) *h2.Conn {
	c := r.relay.Conn(conn, r.opts.caller)
	r.serving.Go(func() { _ = c.Serve() })
	return c
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// caller starts a scripted caller on a connection of its own.
func (r *rig) caller(opts ...loomtest.Option) *loomtest.Downstream {
	r.t.Helper()
	return loomtest.NewDownstream(r.t, r.connect(), opts...)
}

// stop ends the relay and checks that it let go of everything. The scripted
// peers have closed their connections by then.
func (r *rig) stop() {
	r.serving.Wait()
	r.closeBackend(r.backend)
	for _, x := range r.others {
		r.closeBackend(x.backend)
	}
	for name, k := range r.opts.breakers {
		if b, ok := k.(*scriptedBreaker); ok {
			b.check(name)
		}
	}
	if n := r.relay.OpenCalls(); n != 0 {
		r.t.Errorf("%d calls are open after all connections have ended", n)
	}
	if n := r.budget.Used(); n != 0 {
		r.t.Errorf("%d bytes of the buffer budget are in use after all connections have ended", n)
	}
	r.observer.check()
}

func (r *rig) closeBackend(k *backend.Backend) {
	if k == nil {
		return
	}
	k.Close()
	for _, e := range k.Status().Endpoints {
		if e.InFlight != 0 {
			r.t.Errorf("endpoint %s: %d attempts have ended without its being told", e.Address, e.InFlight)
		}
	}
}

// settle waits until the calls have ended and their ends are reported.
func (r *rig) settle() {
	r.t.Helper()
	for end := time.Now().Add(10 * time.Second); r.relay.OpenCalls() > 0 || r.observer.open() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("%d calls are open, %d have no end reported", r.relay.OpenCalls(), r.observer.open())
		}
	}
}

// everywhere runs a scenario in memory, under fake time, and over TCP, where
// the relay writes to the socket itself.
func everywhere(t *testing.T, scenario func(t *testing.T, r *rig), change ...func(*rigOptions)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { inMemory(t, scenario, change...) })
	t.Run("tcp", func(t *testing.T) {
		scenario(t, newRig(t, append(change, func(o *rigOptions) { o.tcp = true })...))
	})
}

// inMemory runs a scenario under fake time.
func inMemory(t *testing.T, scenario func(t *testing.T, r *rig), change ...func(*rigOptions)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { scenario(t, newRig(t, change...)) })
}
