package reflectcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"

	"loom/internal/decode"
)

// ErrClosed is the error of whoever asks a closed cache.
var ErrClosed = errors.New("the descriptor cache is closed")

// Options says how a Cache reaches backends and what it keeps. Zero durations
// mean the defaults.
type Options struct {
	// Dial opens a connection to an endpoint of the backend; the closer ends
	// it. Nil: no backend has reflection.
	Dial func(ctx context.Context, backend string) (grpc.ClientConnInterface, io.Closer, error)
	// Metadata is sent with the reflection call. Nil: none.
	Metadata func(backend string) metadata.MD
	// Files names the protosets configured for the backend. Nil: none.
	Files func(backend string) []string
	// Changed is told of each change; it is called on the goroutine of the
	// fetch and must return soon. Nil: nobody is.
	Changed func(Change)
	Log     *zap.Logger // nil: none
	Dir     string      // where descriptors are kept between runs; "": nowhere

	Timeout     time.Duration // of one fetch; 10 s
	TTL         time.Duration // after which a known service is asked for again; 5 min
	NegativeTTL time.Duration // after which an unknown one is; 10 s
}

// Cache is what is known of the backends' methods. All its methods may be
// called at once from any goroutine.
type Cache struct {
	// Immutable.
	opt   Options
	start time.Time // entries count time from here
	ctx   context.Context
	end   context.CancelFunc
	disk  *disk // nil: none
	slots chan struct{}

	flight  singleflight.Group
	pending atomic.Int64
	view    atomic.Pointer[view]

	// Guarded by mu.
	mu      sync.Mutex
	closed  bool
	changes []Change
	bytes   int // of descriptors in the view

	running sync.WaitGroup // fetches; added to under mu
}

// New returns a Cache that holds nothing. Close ends it.
func New(o Options) *Cache {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	setDefault(&o.Timeout, defaultTimeout)
	setDefault(&o.TTL, defaultTTL)
	setDefault(&o.NegativeTTL, defaultNegativeTTL)
	c := &Cache{opt: o, start: time.Now(), slots: make(chan struct{}, maxFetches)}
	c.ctx, c.end = context.WithCancel(context.Background())
	c.view.Store(&view{})
	if o.Dir != "" {
		c.disk = openDisk(o.Dir, o.Log)
	}
	return c
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Close ends all fetches and waits for them. Whoever waits for one gets an
// error.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.running.Wait()
}

// Lookup returns what is known of a method now; it never waits. If the service
// is unknown or stale, a fetch begins in the background, unless one was tried a
// short while ago or too many are under way.
func (c *Cache) Lookup(backend, path string) (*decode.Method, bool) {
	if shelf := (*c.view.Load())[backend]; shelf != nil {
		if slot, ok := shelf.methods[path]; ok {
			if c.due(slot.entry) {
				c.refresh(slot.entry)
			}
			return slot.method, true
		}
	}
	service, _, ok := splitPath(path)
	if !ok {
		return nil, false
	}
	if e := c.entry(backend, service); e == nil || c.due(e) {
		c.want(backend, service)
	}
	return nil, false
}

// Method returns what is known of a method. It waits for the fetch if nothing
// is known yet; ctx ends only this wait and not the fetch.
func (c *Cache) Method(ctx context.Context, backend, path string) (*decode.Method, error) {
	service, name, ok := splitPath(path)
	if !ok {
		return nil, fmt.Errorf("%.200q is not the path of a method", path)
	}
	e, err := c.known(ctx, backend, service)
	if err != nil {
		return nil, err
	}
	if m := e.methods[path]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("service %s of backend %s has no method %.200q", service, backend, name)
}

// Service returns the descriptor of a service and where it came from. It waits
// as Method does.
func (c *Cache) Service(ctx context.Context, backend, service string) (protoreflect.ServiceDescriptor, decode.Source, error) {
	e, err := c.known(ctx, backend, service)
	if err != nil {
		return nil, decode.Schemaless, err
	}
	return e.desc, e.source, nil
}

// known returns an entry with a descriptor, fresh or stale, and fetches it if
// there is none.
func (c *Cache) known(ctx context.Context, backend, service string) (*entry, error) {
	if len(service) > maxNameBytes || !protoreflect.FullName(service).IsValid() {
		return nil, fmt.Errorf("%.200q is not the name of a service", service)
	}
	e := c.entry(backend, service)
	if e != nil && e.desc != nil {
		if c.due(e) {
			c.refresh(e)
		}
		return e, nil
	}
	if e != nil && !c.due(e) && e.err != nil {
		return nil, e.err
	}
	select {
	case r := <-c.fetch(backend, service):
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*entry), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the descriptors of %s: %w", service, context.Cause(ctx))
	}
}

// Drop makes everything known of a backend stale, because its endpoints
// changed: it is served until the next use has fetched it again.
func (c *Cache) Drop(backend string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	shelf := (*c.view.Load())[backend]
	if shelf == nil {
		return
	}
	next := shelf.clone()
	next.generation++
	next.refused, next.refusedUntil, next.listedUntil = nil, 0, 0
	for _, e := range next.entries {
		if !e.pinned {
			e.dueAt.Store(0)
		}
		// Who asks from now on must not join a fetch from the old endpoints.
		c.flight.Forget(flightKey(backend, e.service))
	}
	c.flight.Forget(flightKey(backend, ""))
	c.publish(backend, next)
}

// Problems names what is missing or broken in the descriptors of a backend, a
// sentence each, sorted.
func (c *Cache) Problems(backend string) []string {
	shelf := (*c.view.Load())[backend]
	if shelf == nil {
		return nil
	}
	return shelf.problems()
}

// splitPath splits "/pkg.Service/Method". A name that no service can have is
// refused, so that it costs no fetch.
func splitPath(path string) (service, method string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return "", "", false
	}
	service, method, ok = strings.Cut(rest, "/")
	if !ok || len(service) > maxNameBytes || !protoreflect.FullName(service).IsValid() {
		return "", "", false
	}
	return service, method, true
}
