package reflectcache

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
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

// ErrBusy is the error of whoever asks while too many wait already.
var ErrBusy = errors.New("too many wait for descriptors; ask again in a moment")

var errTooManyBackends = fmt.Errorf("descriptors are kept of %d backends, not of more", maxBackends)

// Options says how a Cache reaches backends and what it keeps. Zero durations
// mean the defaults.
type Options struct {
	// Dial opens a connection to an endpoint of the backend; the closer ends
	// it. Nil: no backend has reflection.
	Dial func(ctx context.Context, backend string) (grpc.ClientConnInterface, io.Closer, error)
	// Metadata is sent with the reflection call. Nil: none.
	Metadata func(backend string) metadata.MD
	// Files names the protosets and .proto files configured for the backend.
	// Nil: none.
	Files func(backend string) []string
	// Changed is told of each change; it is called on the goroutine of the
	// fetch and must return soon. Nil: nobody is.
	Changed func(Change)
	Log     *zap.Logger // nil: none
	Dir     string      // where descriptors are kept between runs; "": nowhere
	// Identity is where a backend is and how it is asked, as text: what another
	// process knew of one with another identity is not taken over. Nil: the
	// name says enough.
	Identity func(backend string) string

	// TTL is after how long a known service of the backend is asked for again.
	// Nil, or no positive time: 5 min.
	TTL func(backend string) time.Duration

	Timeout     time.Duration // of one fetch; 10 s
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
	files *files
	slots chan struct{} // fetches at once

	flight    singleflight.Group
	waiting   atomic.Int64 // askers that wait for fetches
	view      atomic.Pointer[view]
	misses    misses
	heirlooms heirlooms

	// What Stats tells.
	fetches   atomic.Uint64
	unasked   atomic.Uint64
	busy      atomic.Uint64
	forgotten atomic.Uint64

	// Guarded by mu.
	mu      sync.Mutex
	changes []Change
	bytes   int // of descriptors in the view

	// Guarded by life, which is held for a few steps only: Lookup takes it.
	life   sync.Mutex
	closed bool

	running sync.WaitGroup // goroutines; added to under life
}

// New returns a Cache that holds nothing. Close ends it.
func New(o Options) *Cache {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	setDefault(&o.Timeout, defaultTimeout)
	setDefault(&o.NegativeTTL, defaultNegativeTTL)
	c := &Cache{opt: o, start: time.Now(), slots: make(chan struct{}, maxFetches)}
	c.misses.seed = maphash.MakeSeed()
	c.files = &files{names: o.Files, life: o.NegativeTTL}
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

// ttl is how long what a backend said of itself counts as fresh.
func (c *Cache) ttl(backend string) time.Duration {
	if c.opt.TTL != nil {
		if d := c.opt.TTL(backend); d > 0 {
			return d
		}
	}
	return defaultTTL
}

// Close ends all fetches and waits for them. Whoever waits for one gets an
// error.
func (c *Cache) Close() {
	c.life.Lock()
	c.closed = true
	c.life.Unlock()
	c.end()
	c.running.Wait()
}

// Lookup returns what is known of a method now; it never waits. If the service
// is unknown or stale, a fetch begins in the background, unless one was tried a
// short while ago or too many are under way.
func (c *Cache) Lookup(backend, path string) (*decode.Method, bool) {
	s := c.shelf(backend)
	if s != nil {
		if slot, ok := s.methods[path]; ok {
			c.renew(s, slot.entry)
			return slot.method, true
		}
	}
	service, _, ok := splitPath(path)
	if !ok {
		return nil, false
	}
	if s != nil && s.entries[service] != nil {
		c.renew(s, s.entries[service])
		return nil, false
	}
	if c.misses.get(backend, service, c.now()) != nil {
		return nil, false
	}
	if s = c.open(backend); s != nil {
		c.wish(s.desk, service, nil, c.lists(backend, service))
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

// known returns what is known of a service, fresh or stale, and fetches it if
// that is nothing.
func (c *Cache) known(ctx context.Context, backend, service string) (*entry, error) {
	if len(service) > maxNameBytes || !protoreflect.FullName(service).IsValid() {
		return nil, fmt.Errorf("%.200q is not the name of a service", service)
	}
	s := c.open(backend)
	if s == nil {
		return nil, errTooManyBackends
	}
	if e := s.entries[service]; e != nil {
		c.renew(s, e)
		return e, nil
	}
	if m := c.misses.get(backend, service, c.now()); m != nil {
		return nil, m.err
	}
	r, err := c.await(ctx, "the descriptors of "+service, func() <-chan singleflight.Result { return c.fetch(s.desk, service) })
	if err != nil {
		return nil, err
	}
	return r.(*entry), nil
}

// Drop makes everything known of a backend stale, because its endpoints
// changed: it is served until the next use has fetched it again.
func (c *Cache) Drop(backend string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shelf(backend)
	if s == nil {
		return
	}
	next := s.clone()
	next.generation++
	next.refused, next.refusedUntil, next.listErr, next.listedUntil = nil, 0, nil, 0
	for _, e := range next.entries {
		if !e.pinned {
			e.dueAt.Store(0)
		}
	}
	c.publish(backend, next)
	c.misses.forget(backend, "")
	c.heirlooms.age(backend, c.now())
}

// Retry has a backend be asked again for what could not be had, because its
// endpoints are known now.
func (c *Cache) Retry(backend string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shelf(backend)
	if s == nil {
		return
	}
	next := s.clone()
	next.refused, next.refusedUntil = nil, 0
	if next.listErr != nil {
		next.listErr, next.listedUntil = nil, 0
	}
	c.publish(backend, next)
	c.misses.forget(backend, "")
}

// Problems names what is missing or broken in the descriptors of a backend, a
// sentence each, sorted.
func (c *Cache) Problems(backend string) []string {
	s := c.shelf(backend)
	if s == nil {
		return nil
	}
	all := c.misses.problems(backend)
	for _, e := range s.entries {
		all = append(all, e.linked.problems...)
	}
	all = append(all, c.files.problems(backend)...)
	if s.refused != nil {
		all = append(all, s.refused.Error())
	}
	slices.Sort(all)
	return limited(slices.Compact(all))
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
