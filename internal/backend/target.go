package backend

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strings"
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
	backend *Backend
	uri     string
	weight  int
	network string
	parsed  resolver.Target
	builder resolver.Builder

	// Guarded by backend.mu.
	resolver   resolver.Resolver // nil until it is built
	addresses  []string          // the last good answer
	err        error             // of the last answer; nil if it was good, or there is none
	staleSince time.Time         // when err came to be
}

// resolve begins to resolve the targets.
func (k *Backend) resolve() error {
	var targets []*target
	for _, o := range k.opts.Targets {
		t, err := k.newTarget(o)
		if err != nil {
			return fmt.Errorf("backend %q: %w", k.opts.Name, err)
		}
		targets = append(targets, t)
	}
	k.mu.Lock()
	k.targets = targets
	k.mu.Unlock()
	for _, t := range targets {
		// Some answer while they are built.
		r, err := t.builder.Build(t.parsed, t, resolver.BuildOptions{DisableServiceConfig: true})
		if err != nil {
			return fmt.Errorf("backend %q: resolve %q: %w", k.opts.Name, t.uri, err)
		}
		k.mu.Lock()
		t.resolver = r
		k.mu.Unlock()
	}
	return nil
}

// newTarget reads a gRPC target URI, or host:port for dns:///host:port.
func (k *Backend) newTarget(o Target) (*target, error) {
	uri := o.URI
	t := &target{backend: k, uri: uri, weight: max(1, o.Weight), network: "tcp"}
	if u, err := url.Parse(uri); err == nil {
		t.parsed.URL, t.builder = *u, resolver.Get(u.Scheme)
	}
	if t.builder == nil {
		if _, _, err := net.SplitHostPort(uri); err != nil || strings.Contains(uri, "/") {
			return nil, fmt.Errorf(
				"target %q: neither host:port nor a URI of a known scheme (dns:///, passthrough:///, unix:, unix-abstract:)", uri)
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
	old := *k.list.Load()
	list := k.merge(old)
	k.list.Store(&list)
	k.opts.Counters.EndpointsLeftOut.Add(uint64(k.leftOut))
	if k.opts.Balance == RingHash {
		k.ring = newRing(list, k.leastWeight)
	}
	now := time.Now()
	gone := k.admit(old, list, k.age(now))
	k.rotate(now)
	k.mu.Unlock()
	if k.opts.Moved != nil && !slices.Equal(old, list) {
		k.opts.Moved()
	}
	b := h2.NewBatch()
	for _, e := range gone {
		e.drain(b)
		k.serve(b, &e.line, e)
	}
	k.serveAll(b)
	b.Flush()
}

// admit has endpoints that come be what was known of them before, and keeps
// what is known of those that go, which it returns. The lock is held; rotate
// has to follow.
func (k *Backend) admit(old, list []*Endpoint, age time.Duration) (gone []*Endpoint) {
	in := make(map[*Endpoint]bool, len(list))
	for _, e := range list {
		in[e] = true
		if !e.listed {
			e.listed = true
			if known, ok := k.memory[e.name]; ok {
				delete(k.memory, e.name)
				k.recall(e, known, age)
			}
			if k.opts.Health != nil {
				k.start(func() { e.check(e.life) })
			}
		}
	}
	for _, e := range old {
		if !in[e] {
			e.listed = false
			k.remember(e.record(age))
			gone = append(gone, e)
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
			if e == nil {
				e = newEndpoint(k, t.network, address, t.weight)
				e.host = t.serverName()
			}
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
