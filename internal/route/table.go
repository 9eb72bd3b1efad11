package route

import (
	"math/bits"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// Table is a compiled list of rules. It never changes, so it is safe for use
// by many goroutines at once. The zero value has no routes.
type Table struct {
	routes  []*Route // in the order of the rules
	indexes []index
}

// Routes returns all routes in their order. The caller does not change the list.
func (t *Table) Routes() []*Route { return t.routes }

// Route is a compiled [Rule]. It never changes: neither may its user change
// what it refers to. All methods are safe for use by many goroutines at once.
type Route struct {
	// Rule is the rule with all names of metadata in lower case.
	Rule Rule
	// Index is the place of the rule in the list that was compiled, from 0.
	Index int

	authority pattern
	identity  string // empty: any caller
	path      *regexp.Regexp
	metadata  []metadataMatcher
	// shares[i] is the sum of the weights of the backends up to and with i.
	shares []uint64
	// next is the next rule with the same shape and key; its Index is higher.
	next *Route
}

// shape says which properties of a call a rule names exactly.
type shape struct {
	service, method, host bool
}

// key holds the values of the properties that a shape names. Name is
// service/method, the service or the method, whichever the shape has.
type key struct {
	name, host string
}

// index holds all rules of one shape. Each entry is the first rule of a list
// that goes on at next.
type index struct {
	shape  shape
	routes map[key]*Route
}

// call is what Find takes apart once for all indexes. It lives on the stack.
type call struct {
	path string
	// wellFormed: path is /service/method, and the next three are filled.
	wellFormed      bool
	name            string
	service, method string
	host, port      string
	// lower is host in lower case when host is not; it has room for the
	// longest host that a rule can name.
	lower [maxHost]byte
	mixed bool

	identity string
}

// Find returns the first route in the order of the rules that matches a call,
// or nil. Path and authority are the values of the pseudo-header fields, which
// need not be well-formed: a path that is not /service/method has no service
// and no method, and an authority of more than 255 bytes matches no rule that
// names one. Fields are all header fields of the call; their names are in
// lower case, as HTTP/2 demands. Find does not keep them and does not allocate.
func (t *Table) Find(path, authority string, fields []hpack.HeaderField) *Route {
	return t.FindAs("", path, authority, fields)
}

// FindAs is Find for a caller of the identity given; empty: nobody knows it.
func (t *Table) FindAs(identity, path, authority string, fields []hpack.HeaderField) *Route {
	c := call{identity: identity}
	c.fill(path, authority)
	var best *Route
	for i := range t.indexes {
		for r := t.indexes[i].first(&c); r != nil; r = r.next {
			if best != nil && best.Index < r.Index {
				break
			}
			if r.matches(&c, fields) {
				best = r
				break
			}
		}
	}
	return best
}

// first returns the head of the list of rules that agree with the call in all
// that they name exactly.
func (x *index) first(c *call) *Route {
	var name string
	if x.shape.service || x.shape.method {
		if !c.wellFormed {
			return nil
		}
		switch {
		case !x.shape.method:
			name = c.service
		case !x.shape.service:
			name = c.method
		default:
			name = c.name
		}
	}
	switch {
	case !x.shape.host:
		return x.routes[key{name: name}]
	case len(c.host) > maxHost:
		return nil
	case c.mixed:
		// Go looks this up without making the string.
		return x.routes[key{name: name, host: string(c.lower[:len(c.host)])}]
	default:
		return x.routes[key{name: name, host: c.host}]
	}
}

// fill takes the call apart. The slash between service and method is the last
// one of the path, as for the gRPC servers behind us.
func (c *call) fill(path, authority string) {
	c.path = path
	if len(path) > 0 && path[0] == '/' {
		c.name = path[1:]
		if slash := strings.LastIndexByte(c.name, '/'); slash >= 0 {
			c.wellFormed = true
			c.service, c.method = c.name[:slash], c.name[slash+1:]
		}
	}
	c.host, c.port = splitAuthority(authority)
	if len(c.host) > maxHost {
		return
	}
	for i := range len(c.host) {
		c.lower[i] = lower(c.host[i])
		c.mixed = c.mixed || c.lower[i] != c.host[i]
	}
}

// matches checks what the index has not: ports, globs, expressions, metadata.
// The order is from cheap to dear.
func (r *Route) matches(c *call, fields []hpack.HeaderField) bool {
	if !r.authority.matches(c.host, c.port) || r.identity != "" && !isCaller(r.identity, c.identity) {
		return false
	}
	for i := range r.metadata {
		if !r.metadata[i].matches(fields) {
			return false
		}
	}
	return r.path == nil || r.path.MatchString(c.path)
}

// Pick returns an index into Rule.Backends by weight, for an n that is
// uniformly random over all 64 bits. It is -1 for a route that denies. A
// backend of weight 0 is never picked.
func (r *Route) Pick(n uint64) int {
	if len(r.shares) == 0 {
		return -1
	}
	// The high word of the product is uniform over [0, total).
	share, _ := bits.Mul64(n, r.shares[len(r.shares)-1])
	i, _ := slices.BinarySearch(r.shares, share+1)
	return i
}

// PickOther is Pick among the backends that are not marked in skip, which is
// as long as Rule.Backends. It is -1 if no other has a weight.
func (r *Route) PickOther(n uint64, skip []bool) int {
	var total uint64
	for i, b := range r.Rule.Backends {
		if !skip[i] {
			total += uint64(b.Weight)
		}
	}
	share, _ := bits.Mul64(n, total)
	for i, b := range r.Rule.Backends {
		switch w := uint64(b.Weight); {
		case skip[i]:
		case share < w:
			return i
		default:
			share -= w
		}
	}
	return -1
}
