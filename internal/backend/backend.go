package backend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"loom/internal/h2"
)

// Options configures a Backend. Name, Targets and H2 are required.
type Options struct {
	Name    string
	Targets []string // gRPC target URIs, or host:port
	// Connections is how many connections an endpoint may have. More than
	// one is used only when the endpoint allows no more streams on the rest.
	Connections int
	// Pending is how many calls may wait for a connection.
	Pending        int
	ConnectTimeout time.Duration
	H2             *h2.Options
	// Dial makes a connection; nil: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Why a call gets no connection.
var (
	ErrPendingFull = errors.New("too many calls wait for a connection")
	ErrStopped     = errors.New("the backend is being removed")
)

// Waiter is a call in search of a connection.
type Waiter interface {
	// Attempt has the call open its stream on conn. It returns the error of
	// h2.Conn.Open when conn takes none, and nil when it does or when the
	// call is over and needs none.
	Attempt(b *h2.Batch, conn *h2.Conn, endpoint string) error
	// Refused says that the call gets no connection, and why.
	Refused(b *h2.Batch, err error)
}

// Backend is a named service. It is safe for concurrent use.
type Backend struct {
	// Immutable.
	opts   Options
	ctx    context.Context //nolint:containedctx // the life of the goroutines that it owns
	cancel context.CancelFunc
	wg     sync.WaitGroup // dials, connections, resolvers

	next atomic.Uint64 // endpoint that the next call tries first
	list atomic.Pointer[[]*endpoint]

	mu sync.Mutex
	// Guarded by mu.
	queue    []Waiter
	targets  []*target
	resolved bool // some target has answered
	lastErr  error
	stopped  bool
}

// New returns a backend that resolves its targets and is ready for calls:
// those that come before the first target has answered wait for it.
func New(o Options) (*Backend, error) {
	ctx, cancel := context.WithCancel(context.Background())
	k := &Backend{opts: o, ctx: ctx, cancel: cancel}
	if k.opts.Dial == nil {
		k.opts.Dial = new(net.Dialer).DialContext
	}
	k.list.Store(new([]*endpoint))
	for i, uri := range o.Targets {
		t, err := k.resolve(i, uri)
		if err != nil {
			k.Close()
			return nil, fmt.Errorf("backend %q: %w", o.Name, err)
		}
		k.mu.Lock()
		k.targets = append(k.targets, t)
		k.mu.Unlock()
	}
	return k, nil
}

// Name returns the name that the configuration gives the backend.
func (k *Backend) Name() string { return k.opts.Name }

// Open finds w a connection: now, or when there is one. It returns nil when w
// was given one or waits, and else why it gets none.
func (k *Backend) Open(b *h2.Batch, w Waiter) error {
	if k.try(b, w) {
		return nil
	}
	k.mu.Lock()
	err := k.hopeless()
	if err == nil && len(k.queue) >= k.opts.Pending {
		err = ErrPendingFull
	}
	if err == nil {
		k.queue = append(k.queue, w)
	}
	k.mu.Unlock()
	if err == nil {
		k.serveQueue(b) // room may have come before w was in the queue
	}
	return err
}

// Forget takes w out of the queue.
func (k *Backend) Forget(w Waiter) {
	k.mu.Lock()
	if i := slices.Index(k.queue, w); i >= 0 {
		k.queue = slices.Delete(k.queue, i, i+1)
	}
	k.mu.Unlock()
}

// try offers w the connections there are, beginning with the endpoint whose
// turn it is. An endpoint without one is connected to for the next calls.
func (k *Backend) try(b *h2.Batch, w Waiter) bool {
	list := *k.list.Load()
	n := uint64(len(list))
	if n == 0 {
		return false
	}
	first := k.next.Add(1)
	for i := range n {
		if list[(first+i)%n].try(b, w) {
			return true
		}
	}
	return false
}

// hopeless says why waiting is no use: nil if a connection may come.
func (k *Backend) hopeless() error {
	if k.stopped {
		return ErrStopped
	}
	list := *k.list.Load()
	for _, e := range list {
		if e.hopeful() {
			return nil
		}
	}
	switch {
	case len(list) == 0 && !k.resolved && k.lastErr == nil:
		return nil
	case k.lastErr != nil:
		return k.lastErr
	default:
		return errors.New("no target has an address")
	}
}

// serveQueue gives those who wait their chance, the oldest first, until one
// finds no room.
func (k *Backend) serveQueue(b *h2.Batch) {
	for {
		k.mu.Lock()
		if len(k.queue) == 0 {
			k.mu.Unlock()
			return
		}
		w := k.queue[0]
		k.queue[0] = nil
		k.queue = k.queue[1:]
		k.mu.Unlock()
		if k.try(b, w) {
			continue
		}
		k.mu.Lock()
		err := k.hopeless()
		if err == nil {
			k.queue = slices.Insert(k.queue, 0, w)
			k.mu.Unlock()
			return
		}
		k.mu.Unlock()
		w.Refused(b, err)
	}
}

// failed notes why no connection or no address could be had, and tells those
// who wait if that was their last hope.
func (k *Backend) failed(err error) {
	k.mu.Lock()
	k.lastErr = err
	k.mu.Unlock()
	b := h2.NewBatch()
	k.serveQueue(b)
	b.Flush()
}

// Drain lets the calls that are open end and takes no new ones.
func (k *Backend) Drain(b *h2.Batch) {
	k.stop(b)
	for _, e := range *k.list.Load() {
		e.drain(b)
	}
}

// Close ends the backend at once and waits for its goroutines.
func (k *Backend) Close() {
	b := h2.NewBatch()
	k.stop(b)
	k.cancel()
	for _, e := range *k.list.Load() {
		e.close()
	}
	b.Flush()
	k.wg.Wait()
}

func (k *Backend) stop(b *h2.Batch) {
	k.mu.Lock()
	k.stopped = true
	targets, queue := k.targets, k.queue
	k.targets, k.queue = nil, nil
	k.mu.Unlock()
	for _, t := range targets {
		t.close()
	}
	for _, w := range queue {
		w.Refused(b, ErrStopped)
	}
}
