package backend

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"loom/internal/h2"
)

// Options configures a Backend. All but Counters, Moved and
// Dial are required.
type Options struct {
	Name    string
	Targets []string // gRPC target URIs, or host:port
	// Connections is how many connections an endpoint may have, 1 or more.
	// More than one is used only when the endpoint allows no more streams on
	// the rest.
	Connections int
	// Pending is how many calls may wait for a connection; with 0 none does,
	// not even for the first one.
	Pending int
	// ConnectTimeout is how long a connection may take until the endpoint's
	// first SETTINGS.
	ConnectTimeout time.Duration
	H2             *h2.Options
	Counters       *Counters // nil: nobody counts
	// Moved is told that the set of endpoints is another one; nil: nobody is.
	// It returns soon.
	Moved func()
	// Dial makes a connection; nil: a net.Dialer. It is called concurrently.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Counters counts how often the limits of backends were hit, over all
// backends that share it. It may be read at any time.
type Counters struct {
	CallsWaited     atomic.Uint64 // for a connection, or for room on one
	PendingRefused  atomic.Uint64 // calls beyond Options.Pending
	ConnectTimeouts atomic.Uint64 // connections given up after Options.ConnectTimeout
}

// Why a call gets no connection.
var (
	ErrPendingFull = errors.New("too many calls wait for a connection")
	ErrStopped     = errors.New("the backend is being removed")
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
	opts   Options
	ctx    context.Context // ends with Close: the life of the goroutines that it owns
	cancel context.CancelFunc

	next        atomic.Uint64 // place in list of the endpoint that the next call tries first
	list        atomic.Pointer[[]*Endpoint]
	waiting     atomic.Int64 // length of queue
	reresolveAt atomic.Int64 // Unix nanoseconds

	mu sync.Mutex
	// Guarded by mu.
	queue   queue
	serving bool      // some goroutine serves the queue
	again   bool      // it has to look at all endpoints once more
	targets []*target // none once stopped
	lastErr error     // of the connection that failed or ended last
	stopped bool

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
	k := &Backend{opts: o, queue: newQueue()}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.list.Store(new([]*Endpoint))
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
func (k *Backend) Name() string { return k.opts.Name }

// Pick is what a call asks of the choice of its endpoint. The zero value asks
// for nothing.
type Pick struct {
	// Avoid is an endpoint that is taken only if no other will do: that of an
	// attempt before.
	Avoid *Endpoint
	// Hash stands for what calls share that should meet at the same endpoint.
	// It counts only with Hashed, and with a balance that uses it.
	Hash   uint64
	Hashed bool
}

// Open finds w a connection: now, or when there is one. It returns nil when w
// was given one, waits, or has been refused meanwhile, and else why it gets
// none.
func (k *Backend) Open(b *h2.Batch, w Waiter, p Pick) error {
	if now := b.Now.UnixNano(); now > k.reresolveAt.Load() {
		k.reresolveAt.Store(now + int64(reresolveEvery))
		k.reresolve()
	}
	if k.waiting.Load() == 0 && k.try(b, w, p) {
		return nil
	}
	if err := k.enqueue(w, p); err != nil {
		return err
	}
	if w.Over() {
		k.Forget(w) // it ended, and said Forget, before it was in the queue
	}
	k.serve(b, nil) // room may have come before it was in the queue
	return nil
}

// try offers w the connections there are, beginning with the endpoint whose
// turn it is. An endpoint without one is connected to for the next calls.
func (k *Backend) try(b *h2.Batch, w Waiter, p Pick) bool {
	list := *k.list.Load()
	n := uint64(len(list))
	if n == 0 {
		return false
	}
	first := k.next.Add(1)
	for i := range n {
		if e := list[(first+i)%n]; e != p.Avoid && e.try(b, w) {
			return true
		}
	}
	return p.Avoid != nil && slices.Contains(list, p.Avoid) && p.Avoid.try(b, w)
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
	k.serve(b, nil)
}
