package backend

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/grpc/resolver"
	_ "google.golang.org/grpc/resolver/dns" // registers dns, passthrough and unix with the resolver package
	"google.golang.org/grpc/serviceconfig"

	"loom/internal/h2"
)

// target is one target URI of a backend and what it resolves to. It is the
// resolver.ClientConn of a resolver of grpc-go's.
type target struct {
	// Immutable.
	backend *Backend
	order   int
	network string

	// Guarded by backend.mu.
	resolver  resolver.Resolver
	addresses []string
	closed    bool
}

// resolve starts to resolve uri.
func (k *Backend) resolve(order int, uri string) (*target, error) {
	parsed, builder, err := parseTarget(uri)
	if err != nil {
		return nil, err
	}
	t := &target{backend: k, order: order, network: "tcp"}
	if strings.HasPrefix(parsed.URL.Scheme, "unix") {
		t.network = "unix"
	}
	r, err := builder.Build(parsed, t, resolver.BuildOptions{DisableServiceConfig: true})
	if err != nil {
		return nil, fmt.Errorf("resolve %q: %w", uri, err)
	}
	k.mu.Lock()
	t.resolver = r
	k.mu.Unlock()
	return t, nil
}

// parseTarget reads a gRPC target URI, or host:port for dns:///host:port.
func parseTarget(uri string) (resolver.Target, resolver.Builder, error) {
	if u, err := url.Parse(uri); err == nil {
		if b := resolver.Get(u.Scheme); b != nil {
			return resolver.Target{URL: *u}, b, nil
		}
	}
	if _, _, err := net.SplitHostPort(uri); err != nil {
		return resolver.Target{}, nil, fmt.Errorf(
			"target %q: neither host:port nor a URI of a known scheme (dns:///, unix:, passthrough:///)", uri)
	}
	return resolver.Target{URL: url.URL{Scheme: "dns", Path: "/" + uri}}, resolver.Get("dns"), nil
}

// close stops the resolver. Its callbacks may still come and do nothing.
func (t *target) close() {
	t.backend.mu.Lock()
	t.closed = true
	r := t.resolver
	t.backend.mu.Unlock()
	if r != nil {
		r.Close()
	}
}

// UpdateState takes what the target resolves to. An empty answer is refused:
// the last good one stays, and the resolver asks again.
func (t *target) UpdateState(s resolver.State) error {
	var addresses []string
	for _, e := range s.Endpoints {
		for _, a := range e.Addresses {
			addresses = append(addresses, a.Addr)
		}
	}
	if len(s.Endpoints) == 0 {
		for _, a := range s.Addresses {
			addresses = append(addresses, a.Addr)
		}
	}
	slices.Sort(addresses)
	addresses = slices.Compact(addresses)
	if len(addresses) == 0 {
		t.ReportError(fmt.Errorf("resolved to no address"))
		return fmt.Errorf("no addresses")
	}
	t.backend.resolvedTo(t, addresses)
	return nil
}

// ReportError notes that the target could not be resolved.
func (t *target) ReportError(err error) { t.backend.failed(fmt.Errorf("resolve: %w", err)) }

// NewAddress is the older form of UpdateState.
func (t *target) NewAddress(a []resolver.Address) {
	_ = t.UpdateState(resolver.State{Addresses: a})
}

// ParseServiceConfig refuses service configs: loom.yaml alone says what is retried.
func (t *target) ParseServiceConfig(string) *serviceconfig.ParseResult {
	return &serviceconfig.ParseResult{Err: fmt.Errorf("service configs are not used")}
}

// resolvedTo puts the new addresses of t in force. Endpoints that stay keep
// their connections; those that are gone drain.
func (k *Backend) resolvedTo(t *target, addresses []string) {
	b := h2.NewBatch()
	k.mu.Lock()
	if t.closed || k.stopped {
		k.mu.Unlock()
		return
	}
	t.addresses = addresses
	k.resolved = true
	old := *k.list.Load()
	var list []*endpoint
	for _, x := range k.known(t) {
		for _, a := range x.addresses {
			list = append(list, find(old, k, x.network, a))
		}
	}
	k.list.Store(&list)
	k.mu.Unlock()
	for _, e := range old {
		if !slices.Contains(list, e) {
			e.drain(b)
		}
	}
	k.serveQueue(b)
	b.Flush()
}

// known returns the targets in order; t may not be listed yet, because a
// resolver may answer while it is built.
func (k *Backend) known(t *target) []*target {
	all := slices.Clone(k.targets)
	if !slices.Contains(all, t) {
		all = append(all, t)
	}
	slices.SortFunc(all, func(x, y *target) int { return x.order - y.order })
	return all
}

// find returns the endpoint that has this address already, or a new one.
func find(old []*endpoint, k *Backend, network, address string) *endpoint {
	for _, e := range old {
		if e.network == network && e.address == address {
			return e
		}
	}
	return newEndpoint(k, network, address)
}

// reresolve asks the resolvers for news after a connection was lost.
func (k *Backend) reresolve() {
	k.mu.Lock()
	targets := slices.Clone(k.targets)
	k.mu.Unlock()
	for _, t := range targets {
		k.mu.Lock()
		r, closed := t.resolver, t.closed
		k.mu.Unlock()
		if r != nil && !closed {
			r.ResolveNow(resolver.ResolveNowOptions{})
		}
	}
}
