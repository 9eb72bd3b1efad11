package backend

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	_ "google.golang.org/grpc" // registers the resolvers of dns, passthrough, unix and unix-abstract
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"

	"loom/internal/h2"
)

// target is one target URI of a backend and what it resolves to. It is the
// resolver.ClientConn of a resolver of grpc-go's.
type target struct {
	// Immutable.
	backend  *Backend
	uri      string
	network  string
	parsed   resolver.Target
	builder  resolver.Builder
	answered chan struct{} // closed by the first answer

	answer sync.Once

	// Guarded by backend.mu.
	weight     int
	resolver   resolver.Resolver // nil until it is built
	addresses  []string          // the last good answer
	err        error             // of the last answer; nil if it was good, or there is none
	staleSince time.Time         // when err came to be
}

// resolve begins to resolve the targets.
func (k *Backend) resolve() error {
	var targets []*target
	for _, o := range k.options().Targets {
		t, err := k.newTarget(o)
		if err != nil {
			return err
		}
		targets = append(targets, t)
	}
	k.mu.Lock()
	k.targets = targets
	k.mu.Unlock()
	for _, t := range targets {
		if err := t.open(); err != nil {
			return err
		}
	}
	return nil
}

// open begins to resolve the target. It may answer before open returns.
func (t *target) open() error {
	k := t.backend
	r, err := t.builder.Build(t.parsed, t, resolver.BuildOptions{DisableServiceConfig: true})
	if err != nil {
		return fmt.Errorf("backend %q: resolve %q: %w", k.name, t.uri, err)
	}
	k.mu.Lock()
	t.resolver = r
	k.mu.Unlock()
	return nil
}

// newTarget reads a gRPC target URI, or host:port for dns:///host:port.
func (k *Backend) newTarget(o Target) (*target, error) {
	uri := o.URI
	t := &target{backend: k, uri: uri, weight: max(1, o.Weight), network: "tcp", answered: make(chan struct{})}
	if u, err := url.Parse(uri); err == nil {
		t.parsed.URL, t.builder = *u, resolver.Get(u.Scheme)
	}
	if t.builder == nil {
		if _, _, err := net.SplitHostPort(uri); err != nil || strings.Contains(uri, "/") {
			return nil, fmt.Errorf(
				"backend %q: target %q: neither host:port nor a URI of a known scheme (dns:///, passthrough:///, unix:, unix-abstract:)", k.name, uri)
		}
		t.parsed.URL, t.builder = url.URL{Scheme: "dns", Path: "/" + uri}, resolver.Get("dns")
	}
	if strings.HasPrefix(t.parsed.URL.Scheme, "unix") {
		t.network = "unix"
	}
	return t, nil
}

// close stops the resolver and waits for it.
func (t *target) close() {
	t.backend.mu.Lock()
	r := t.resolver
	t.backend.mu.Unlock()
	if r != nil {
		r.Close()
	}
}

// UpdateState takes what the target resolves to. An empty answer is refused:
// the last good one stays, and the resolver asks again.
func (t *target) UpdateState(s resolver.State) error {
	endpoints := s.Endpoints
	if len(endpoints) == 0 {
		endpoints = []resolver.Endpoint{{Addresses: s.Addresses}}
	}
	var addresses []string
	for _, e := range endpoints {
		for _, a := range e.Addresses {
			if a.Addr != "" {
				addresses = append(addresses, a.Addr)
			}
		}
	}
	if len(addresses) == 0 {
		err := errors.New("it has no address")
		t.ReportError(err)
		return err
	}
	slices.Sort(addresses)
	t.backend.resolved(t, slices.Compact(addresses))
	return nil
}

// ReportError notes that the target could not be resolved. What it resolved
// to before stays.
func (t *target) ReportError(err error) {
	k := t.backend
	k.mu.Lock()
	if t.err == nil {
		t.staleSince = time.Now()
	}
	t.err = fmt.Errorf("resolve %s: %w", t.uri, err)
	k.mu.Unlock()
	t.answer.Do(func() { close(t.answered) })
	k.serveEverybody()
}

// NewAddress is the older form of UpdateState.
func (t *target) NewAddress(a []resolver.Address) {
	_ = t.UpdateState(resolver.State{Addresses: a}) // it has noted the error
}

// ParseServiceConfig refuses service configs: loom.yaml alone says what is retried.
func (t *target) ParseServiceConfig(string) *serviceconfig.ParseResult {
	return &serviceconfig.ParseResult{Err: errors.New("service configs are not used")}
}

// resolved puts the new addresses of t in force. Endpoints that stay keep
// their connections; those that are gone drain.
func (k *Backend) resolved(t *target, addresses []string) {
	k.mu.Lock()
	if k.stopped {
		k.mu.Unlock()
		return
	}
	t.addresses, t.err = addresses, nil
	t.answer.Do(func() { close(t.answered) })
	if !slices.Contains(k.targets, t) {
		k.mu.Unlock() // of options that are not in force yet
		return
	}
	m := k.relist()
	k.rotate(time.Now())
	k.mu.Unlock()
	b := h2.NewBatch()
	m.follow(b)
	k.serveAll(b)
	b.Flush()
}

// move is the endpoints becoming other ones.
type move struct {
	backend *Backend
	moved   bool
	gone    []*Endpoint
}

// relist has the endpoints be those that the targets lead to. The lock is held;
// rotate has to follow, and once it is free, follow.
func (k *Backend) relist() move {
	old, o := *k.list.Load(), k.options()
	list := k.merge(old)
	k.list.Store(&list)
	o.Counters.EndpointsLeftOut.Add(uint64(k.leftOut))
	k.ring = nil
	if o.Balance == RingHash {
		k.ring = newRing(list, k.least)
	}
	return move{k, !slices.Equal(old, list), k.admit(old, list, k.age(time.Now()))}
}

// follow tells who has to know, and ends what is not needed any more. No lock
// is held.
func (m *move) follow(b *h2.Batch) {
	if tell := m.backend.options().Moved; tell != nil && m.moved {
		tell()
	}
	for _, e := range m.gone {
		e.drain(b)
		m.backend.serve(b, &e.line, e)
	}
}

// admit has endpoints that come be what was known of them before, and keeps
// what is known of those that go, which it returns. The lock is held; rotate
// has to follow.
func (k *Backend) admit(old, list []*Endpoint, age time.Duration) (gone []*Endpoint) {
	in := make(map[*Endpoint]bool, len(list))
	for _, e := range list {
		in[e] = true
	}
	for _, e := range old {
		if !in[e] {
			e.listed = false
			e.unask()
			k.remember(e.leaves(age))
			gone = append(gone, e)
		}
	}
	for _, e := range list {
		if !e.listed {
			e.listed = true
			if known, ok := k.memory[e.name]; ok {
				delete(k.memory, e.name)
				k.recall(e, known, age)
			}
			e.ask()
		}
	}
	return gone
}

// leastWeight returns the least weight that an endpoint of the targets has.
func leastWeight(targets []Target) int {
	least := math.MaxInt
	for _, t := range targets {
		least = min(least, max(1, t.Weight))
	}
	return least
}

// endpointsMost bounds the endpoints of a backend. Each may cost connections,
// and the checks of its health; services of more are rare, and a thousand of
// them carry what one loomd can.
const endpointsMost = 1000

// merge returns an endpoint for each address of the targets, in their order:
// the old one where there is one. The lock is held.
func (k *Backend) merge(old []*Endpoint) []*Endpoint {
	type place struct{ network, address string }
	known := make(map[place]*Endpoint, len(old))
	for _, e := range old {
		known[place{e.network, e.address}] = e
	}
	var list []*Endpoint
	k.leftOut = 0
	listed := make(map[place]bool)
	for _, t := range k.targets {
		for _, address := range t.addresses {
			p := place{t.network, address}
			if listed[p] {
				continue // two targets lead to it
			}
			if len(list) == endpointsMost {
				k.leftOut++
				continue
			}
			listed[p] = true
			e := known[p]
			if e == nil || e.host != t.serverName() {
				e = newEndpoint(k, t.network, address, t.weight)
				e.host = t.serverName()
			}
			e.weight.Store(int64(t.weight))
			list = append(list, e)
		}
	}
	return list
}

// unresolved says why there is no endpoint: nil if some target has not
// answered yet. The lock is held.
func (k *Backend) unresolved() error {
	var err error
	for _, t := range k.targets {
		if t.err == nil {
			return nil
		}
		err = t.err
	}
	return err
}

// reresolve asks the resolvers for news.
func (k *Backend) reresolve() {
	k.mu.Lock()
	var all []resolver.Resolver
	for _, t := range k.targets {
		if t.resolver != nil {
			all = append(all, t.resolver)
		}
	}
	k.mu.Unlock()
	for _, r := range all {
		r.ResolveNow(resolver.ResolveNowOptions{})
	}
}
