package backend_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/dns"

	"loom/internal/backend"
	"loom/internal/h2"
	"loom/internal/loomtest"
)

func TestMain(m *testing.M) {
	resolver.Register(directory)
	dns.SetMinResolutionInterval(10 * time.Millisecond) // TestNameServer has no time
	os.Exit(loomtest.CheckLeaksMain(m))
}

const connectTimeout = 5 * time.Second

// rig is a backend whose endpoints are in memory.
type rig struct {
	t        testing.TB
	backend  *backend.Backend
	opts     backend.Options // in force
	counters backend.Counters

	mu sync.Mutex
	// Guarded by mu.
	listeners map[string]*loomtest.Listener // by address
	ups       map[string]*loomtest.UpstreamListener
	dials     map[string]int
}

// newRig makes a backend of the target passthrough:///a, unless change says
// otherwise, that is closed when the test ends.
func newRig(t testing.TB, change ...func(*backend.Options)) *rig {
	t.Helper()
	r := &rig{
		t: t, listeners: make(map[string]*loomtest.Listener),
		ups: make(map[string]*loomtest.UpstreamListener), dials: make(map[string]int),
	}
	o := backend.Options{
		Name: "b", Targets: []backend.Target{{URI: "passthrough:///a"}},
		Connections: 4, Pending: 256, ConnectTimeout: connectTimeout,
		H2: h2Options(), Counters: &r.counters, Dial: r.dial,
	}
	for _, f := range change {
		f(&o)
	}
	k, err := backend.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.backend, r.opts = k, o
	t.Cleanup(k.Close)
	return r
}

func h2Options() *h2.Options {
	o := &h2.Options{Limits: h2.DefaultLimits(), Counters: new(h2.Counters)}
	o.Budget = h2.NewBudget(64<<20, o.Counters)
	return o
}

func pending(n int) func(*backend.Options) { return func(o *backend.Options) { o.Pending = n } }

func connections(n int) func(*backend.Options) { return func(o *backend.Options) { o.Connections = n } }

func targets(uris ...string) func(*backend.Options) {
	return func(o *backend.Options) {
		o.Targets = nil
		for _, uri := range uris {
			o.Targets = append(o.Targets, backend.Target{URI: uri})
		}
	}
}

func (r *rig) dial(ctx context.Context, _, address string) (net.Conn, error) {
	r.mu.Lock()
	r.dials[address]++
	l := r.listenLocked(address)
	r.mu.Unlock()
	return l.DialAddr(ctx, address)
}

func (r *rig) listenLocked(address string) *loomtest.Listener {
	if r.listeners[address] == nil {
		r.listeners[address] = loomtest.Listen()
	}
	return r.listeners[address]
}

// listener is what the connections to an address arrive at.
func (r *rig) listener(address string) *loomtest.Listener {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.listenLocked(address)
}

// dialled returns how many connections to an address were tried.
func (r *rig) dialled(address string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dials[address]
}

// accept starts a scripted upstream on the next connection to an address.
func (r *rig) accept(address string, opts ...loomtest.Option) *loomtest.Upstream {
	r.t.Helper()
	return r.upstreams(address).Accept(opts...)
}

func (r *rig) upstreams(address string) *loomtest.UpstreamListener {
	l := r.listener(address)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ups[address] == nil {
		// Longer than any back-off.
		r.ups[address] = loomtest.ServeUpstream(r.t, l, loomtest.Timeout(time.Minute))
	}
	return r.ups[address]
}

// call opens a call, which may fail at once.
func (r *rig) call(name string) *call {
	c := &call{name: name}
	r.open(c)
	return c
}

func (r *rig) open(c *call) { r.openWith(c, backend.Pick{}) }

func (r *rig) openWith(c *call, p backend.Pick) {
	b := h2.NewBatch()
	if err := r.backend.Open(b, c, p); err != nil {
		c.Refused(b, err)
	}
	b.Flush()
}

// warm returns an upstream that has taken, and not answered, the call named
// "warm".
func (r *rig) warm(opts ...loomtest.Option) (*loomtest.Upstream, *call) {
	r.t.Helper()
	c := r.call("warm")
	up := r.accept("a", opts...)
	wantCall(r.t, up, c.name)
	return up, c
}

// wantCall waits for the call of that name and returns the id of its stream.
func wantCall(t testing.TB, up *loomtest.Upstream, name string) uint32 {
	t.Helper()
	id, request := up.WantCall()
	up.WantEnd(id)
	if got := request.Get("name"); got != name {
		t.Fatalf("got call %q, want %q", got, name)
	}
	return id
}

func maxStreams(n uint32) loomtest.Option {
	return loomtest.WithSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: n})
}

// call is a Waiter with one stream, and a record of what it heard.
type call struct {
	name string
	// full is told, before Attempt says that a connection takes no call, how
	// many have said so.
	full func(n int)

	refusals int // owned by the one who runs Attempt

	mu sync.Mutex
	// Guarded by mu.
	stream   h2.Stream
	placed   int               // attempts that were accepted
	endpoint *backend.Endpoint // of the last of them
	refused  []error
	over     bool
	end      *h2.End // if the stream ended early
	replied  bool
}

func (c *call) Attempt(b *h2.Batch, conn *h2.Conn, e *backend.Endpoint) error {
	err := c.attempt(b, conn, e)
	if err != nil && c.full != nil {
		c.refusals++
		c.full(c.refusals)
	}
	return err
}

func (c *call) attempt(b *h2.Batch, conn *h2.Conn, e *backend.Endpoint) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return backend.ErrOver
	}
	fields := []h2.Field{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/s/m"},
		{Name: ":authority", Value: "b"}, {Name: "name", Value: c.name},
	}
	s := &c.stream
	if c.placed > 0 {
		s = new(h2.Stream)
	}
	err := conn.Open(b, s, c, fields, true)
	if err == nil {
		c.placed++
		c.endpoint = e
	}
	return err
}

func (c *call) Refused(_ *h2.Batch, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = append(c.refused, err)
	c.over = true
}

func (c *call) Over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

func (c *call) giveUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
}

func (c *call) Headers(_ *h2.Batch, _ h2.BlockKind, _ []h2.Field, end bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replied = end
}

func (c *call) Data(b *h2.Batch, s *h2.Stream, p []byte, _ bool) { s.Discard(b, len(p)) }

func (c *call) Ended(_ *h2.Batch, e h2.End) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = &e
}

func (c *call) Expired(*h2.Batch) {}

// state says in a word what became of the call.
func (c *call) state() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(c.refused) > 0 && c.placed > 0, len(c.refused) > 1, c.placed > 1:
		return fmt.Sprintf("heard twice: placed %d times, refused %v", c.placed, c.refused)
	case len(c.refused) > 0:
		return "refused: " + c.refused[0].Error()
	case c.end != nil:
		return "ended"
	case c.replied:
		return "replied"
	case c.placed > 0:
		return "placed"
	default:
		return "waits"
	}
}

// placedAt returns the endpoint that the call went to last, if any.
func (c *call) placedAt() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.endpoint == nil {
		return ""
	}
	return c.endpoint.Name()
}

// placedEndpoint is placedAt for who has something to say to it.
func (c *call) placedEndpoint() *backend.Endpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.endpoint
}

// want compares the state of a call once everything has come to rest.
func (c *call) want(t *testing.T, state string) {
	t.Helper()
	synctest.Wait()
	if got := c.state(); got != state {
		t.Fatalf("call %q: %s; want: %s", c.name, got, state)
	}
}

// directory is a resolver of the scheme "names": a test says what a name of
// its own resolves to.
var directory = &names{built: make(map[string]*name)}

type names struct {
	mu    sync.Mutex
	built map[string]*name // guarded by mu
}

// name is a resolver that a test plays.
type name struct {
	cc resolver.ClientConn

	mu     sync.Mutex
	asked  int // guarded by mu
	closed int // guarded by mu
}

func (d *names) Scheme() string { return "names" }

func (d *names) Build(target resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	if target.Endpoint() == "broken" {
		return nil, errors.New("the name is broken")
	}
	n := &name{cc: cc}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.built[target.Endpoint()] = n
	return n, nil
}

func (d *names) find(t testing.TB, of string) *name {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.built[of] == nil {
		t.Fatalf("nobody resolves the name %q", of)
	}
	return d.built[of]
}

func (n *name) ResolveNow(resolver.ResolveNowOptions) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
}

func (n *name) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed++
}

func (n *name) timesAsked() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

// resolveTo has the name lead to the addresses.
func (n *name) resolveTo(addresses ...string) error {
	var s resolver.State
	for _, a := range addresses {
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: a}}})
	}
	return n.cc.UpdateState(s)
}
