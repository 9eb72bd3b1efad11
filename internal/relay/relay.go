package relay

import (
	"net"
	"sync"
	"sync/atomic"

	"loom/internal/callevent"
	"loom/internal/h2"
)

// Observer is told which calls begin and end. It is called on the goroutines
// that carry them: it must return at once, and never calls back.
type Observer interface {
	// Begin returns who is told what happens in between; nil for nobody.
	Begin(c callevent.Call) callevent.Follower
	// Ended comes once for each call that began, after its follower was told.
	// The summary is valid only until Ended returns.
	Ended(s *callevent.Summary)
}

// Options configures a Relay. All but Observer are required.
type Options struct {
	Rules    Rules       // of the first calls
	H2       *h2.Options // of downstream connections
	Counters *Counters
	Observer Observer // nil: nobody watches
}

// Counters counts how often each limit of the relay was hit. It may be read
// at any time.
type Counters struct {
	KeptRequests      atomic.Uint64 // requests too large to be sent twice
	BreakerRejections atomic.Uint64 // calls that a breaker did not let pass
	OverallTimeouts   atomic.Uint64 // calls ended by the timeout.overall of their route
	PerTryTimeouts    atomic.Uint64 // attempts ended by timeout.per_try
	IdleTimeouts      atomic.Uint64 // calls ended by timeout.idle
	Retries           atomic.Uint64 // attempts that a route's retry asked for
	RetriesOverBudget atomic.Uint64 // those that its budget_percent refused
	Mirrored          atomic.Uint64 // copies of calls that went to a backend
	MirrorsDropped    atomic.Uint64 // copies that did not, or were given up, for lack of room or of time
}

// Relay carries the calls of any number of downstream connections. It is
// safe for concurrent use.
type Relay struct {
	// Immutable.
	opts Options

	tables   atomic.Pointer[Tables] // in force; replaced under mu
	lastCall atomic.Uint64

	mu sync.Mutex // a leaf
	// Guarded by mu.
	replaced []*Tables // by whose rules calls are still open
	waiting  []quiet
}

// New returns a relay. It fails if a route speaks of a backend that is not there.
func New(o Options) (*Relay, error) {
	r := &Relay{opts: o}
	t, err := r.Prepare(o.Rules)
	if err != nil {
		return nil, err
	}
	r.tables.Store(t)
	return r, nil
}

// Conn returns the downstream side of a connection; its Serve relays the
// calls that come in on it.
func (r *Relay) Conn(nc net.Conn, c Caller) *h2.Conn {
	if c.H2 == nil {
		c.H2 = r.opts.H2
	}
	if c.Peer == "" {
		c.Peer = peerName(nc)
	}
	return h2.NewServer(nc, c.H2, &downstream{relay: r, caller: c})
}

// Calls returns how many calls there ever were.
func (r *Relay) Calls() uint64 { return r.lastCall.Load() }

// downstream is a connection that calls come in on.
type downstream struct {
	// Immutable.
	relay  *Relay
	caller Caller
}

// Accept makes the call of a stream that the peer opens.
func (d *downstream) Accept(*h2.Batch, *h2.Conn) (*h2.Stream, h2.Receiver) {
	c := &Call{conn: d}
	c.first.call = c
	return &c.down, (*downLeg)(c)
}

// Changed has nothing to say: loom opens no streams on these connections.
func (d *downstream) Changed(*h2.Batch, *h2.Conn) {}

// peerName is the address of the caller as people see it. Unix sockets'
// callers have none.
func peerName(nc net.Conn) string {
	if a := nc.RemoteAddr(); a != nil && a.String() != "" && a.String() != "@" {
		return a.String()
	}
	if a := nc.LocalAddr(); a != nil {
		return "unix:" + a.String()
	}
	return "unknown"
}
