package backend

import (
	"container/list"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"loom/internal/h2"
	"loom/internal/pki"
)

// Target is a place where endpoints are found.
type Target struct {
	URI string // a gRPC target URI, or host:port
	// Weight is the share of the calls that each endpoint of the target gets,
	// relative to the others. 0 is 1.
	Weight int
}

// Options configures a Backend. Name, Targets, Connections, ConnectTimeout
// and H2 are required.
type Options struct {
	Name    string
	Targets []Target
	Balance Balance
	// HashMetadata is the name of the metadata whose value is the key of a
	// call for RingHash. The backend only passes it on, with HashMetadata.
	HashMetadata string
	// SlowStart is how long an endpoint that joins others takes less than its
	// share of the calls; 0: not at all.
	SlowStart time.Duration
	// Connections is how many connections an endpoint may have, 1 or more.
	// More than one is used only when the endpoint allows no more streams on
	// the rest.
	Connections int
	// Pending is how many calls may wait for a connection; with 0 none does,
	// not even for the first one.
	Pending int
	// Concurrent is how many calls may be open at once, those that wait
	// included; 0: any number.
	Concurrent int
	// ConnectTimeout is how long a connection may take until the endpoint's
	// first SETTINGS.
	ConnectTimeout time.Duration
	H2             *h2.Options
	// TLS is how connections are secured; nil: they are in clear text.
	TLS      *pki.Client
	Counters *Counters // nil: nobody counts
	// Moved is told that the set of endpoints is another one; nil: nobody is.
	// It returns soon.
	Moved func()
	// Outlier is when an endpoint is left out for a while; nil: never.
	Outlier *Outlier
	// Health is how endpoints are asked for their health; nil: they are not.
	Health *HealthCheck
	// Recovered is told that an endpoint is healthy which was not; nil: nobody
	// is. It returns soon.
	Recovered func()
	// Event is told of what people should hear of, on a goroutine of its own,
	// one after the other; nil: nobody is.
	Event func(Event)
	// Dial makes a connection; nil: a net.Dialer. It is called concurrently.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Counters counts how often the limits of backends were hit, over all
// backends that share it. It may be read at any time.
type Counters struct {
	CallsWaited       atomic.Uint64 // for a connection, or for room on one
	PendingRefused    atomic.Uint64 // calls beyond Options.Pending
	ConcurrentRefused atomic.Uint64 // calls beyond Options.Concurrent
	ConnectTimeouts   atomic.Uint64 // connections given up after Options.ConnectTimeout
	EjectionsDenied   atomic.Uint64 // because of Outlier.MaxEjectedPercent
	EndpointsLeftOut  atomic.Uint64 // addresses beyond a bound, each time that names were resolved
	EventsDropped     atomic.Uint64 // because too many waited to be told
}

// Why a call gets no connection.
var (
	ErrPendingFull = errors.New("too many calls wait for a connection")
	ErrConcurrent  = errors.New("too many calls are open")
	ErrStopped     = errors.New("the backend is being removed")
	ErrDrained     = errors.New("all endpoints are drained")
)

// ErrOver is what a Waiter answers to an Attempt when its call has ended.
var ErrOver = errors.New("the call is over")

// Waiter is a call in search of a connection. It is compared by identity, so
// it has to be a pointer.
type Waiter interface {
	// Attempt has the call open its stream on conn, which leads to e. It
	// returns nil when conn took it: e.Done has to follow when the attempt has
	// ended, once. Else it returns the error of h2.Conn.Open, or ErrOver when
	// the call has ended and needs no connection.
	Attempt(b *h2.Batch, conn *h2.Conn, e *Endpoint) error
	// Refused says that the call gets no connection, and why.
	Refused(b *h2.Batch, err error)
	// Over reports whether the call has ended: it needs no connection.
	Over() bool
}

// reresolveEvery is how often the targets of a backend with calls are
// resolved again, so that endpoints which are added are found: as often as
// grpc-go's resolver asks a name server at most.
const reresolveEvery = 30 * time.Second

// Backend is a named service. It is safe for concurrent use.
type Backend struct {
	// Immutable.
	name   string
	ctx    context.Context // ends with Close: the life of the goroutines that it owns
	cancel context.CancelFunc

	born time.Time

	opts        atomic.Pointer[Options]     // replaced under mu, by Change.Commit
	next        atomic.Uint64               // calls that were dealt out in turn
	list        atomic.Pointer[[]*Endpoint] // all of them; replaced under mu
	rotation    atomic.Pointer[rotation]    // replaced under mu
	calls       atomic.Int64                // between enter and leave
	ejections   atomic.Uint64
	falls       atomic.Uint64 // endpoints that turned out not to be healthy
	reresolveAt atomic.Int64  // Unix nanoseconds

	line line // of calls that any endpoint suits

	mu sync.Mutex
	// Guarded by mu.
	places   map[Waiter]*list.Element // of all that wait, in this line and in those of the endpoints
	targets  []*target                // none once stopped
	lastErr  error                    // of the connection that failed or ended last
	ring     ring                     // of list, with RingHash
	least    int                      // weight that an endpoint of targets has
	leftOut  int                      // addresses beyond endpointsMost
	memory   map[string]record        // by the name of an endpoint that is not there
	events   []Event                  // that wait to be told
	telling  bool                     // some goroutine tells them
	newUntil time.Duration            // age up to which the backend is new; 0 before the first endpoint
	stopped  bool

	life sync.Mutex // a leaf
	// Guarded by life.
	closed bool
	wg     sync.WaitGroup // dials and connections
}

// New returns a backend that resolves its targets and is ready for calls:
// those that come before the first target has answered wait for it.
func New(o Options) (*Backend, error) {
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Counters == nil {
		o.Counters = new(Counters)
	}
	k := &Backend{name: o.Name, born: time.Now(), places: make(map[Waiter]*list.Element), memory: make(map[string]record), least: leastWeight(o.Targets)}
	k.opts.Store(&o)
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.list.Store(new([]*Endpoint))
	k.rotation.Store(new(rotation))
	// Processes that start together do not all begin with the same endpoint.
	k.next.Store(rand.Uint64())
	k.reresolveAt.Store(time.Now().Add(reresolveEvery).UnixNano())
	if err := k.resolve(); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// Name returns the name that the configuration gives the backend.
func (k *Backend) Name() string { return k.name }

// options are those in force. Who needs several that belong together asks once.
func (k *Backend) options() *Options { return k.opts.Load() }

// HashMetadata returns the name of the metadata whose value makes the
// Pick.Hash of a call; empty if calls need none.
func (k *Backend) HashMetadata() string {
	if o := k.options(); o.Balance == RingHash {
		return o.HashMetadata
	}
	return ""
}

// start runs f on a goroutine that Close waits for. It reports false when the
// backend is closed.
func (k *Backend) start(f func()) bool {
	k.life.Lock()
	defer k.life.Unlock()
	if !k.closed {
		k.wg.Go(f)
	}
	return !k.closed
}

// Drain lets the calls that are open end and takes no new ones: calls that
// wait, and those that come, get ErrStopped. Close has to follow.
func (k *Backend) Drain(b *h2.Batch) {
	k.stop(b)
	for _, e := range *k.list.Load() {
		e.drain(b)
	}
}

// Close ends the backend at once and waits for its goroutines. Calls that
// wait get ErrStopped.
func (k *Backend) Close() {
	b := h2.NewBatch()
	k.stop(b)
	b.Flush()
	k.life.Lock()
	k.closed = true
	k.life.Unlock()
	k.cancel()
	k.wg.Wait()
}

// stop ends the resolvers, and the waiting.
func (k *Backend) stop(b *h2.Batch) {
	k.mu.Lock()
	k.stopped = true
	targets := k.targets
	k.targets = nil
	k.mu.Unlock()
	for _, t := range targets {
		t.close()
	}
	k.serveAll(b)
}
