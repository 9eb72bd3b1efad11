package backend

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"loom/internal/h2"
)

// Endpoint is one address of a backend and the connections to it. It is the
// h2.Owner of its connections, and safe for concurrent use.
type Endpoint struct {
	// Immutable.
	backend *Backend
	network string
	address string
	name    string          // address as people write it
	host    string          // whose certificate it shows
	life    context.Context // until it leaves the backend, or the backend is drained
	leave   context.CancelFunc

	weight   atomic.Int64               // 1 or more; set under backend.mu
	active   atomic.Bool                // calls go to it; set under backend.mu
	warmFrom atomic.Int64               // age of the backend when it came to the others; 0: long ago; set under backend.mu
	conns    atomic.Pointer[[]*h2.Conn] // those that take calls; replaced under mu
	inFlight atomic.Int64               // attempts
	good     atomic.Uint64              // attempts that ended so
	bad      atomic.Uint64              // likewise
	line     line                       // of calls that wait for it
	failed   atomic.Int64               // attempts in a row that ended as Bad
	room     atomic.Uint64              // place in conns of the one that took the last stream
	greeting atomic.Pointer[h2.Conn]    // the one whose SETTINGS are awaited; set under mu

	// Guarded by backend.mu.
	listed   bool // it is an endpoint of the backend
	recalled bool // warmFrom is what it was in another process
	drained  bool // by an operator
	ejection ejection
	health   health
	unasked  context.CancelFunc // ends the checks of its health; nil: there are none

	mu sync.Mutex
	// Guarded by mu.
	dialing  bool          // a connection is on its way, until its SETTINGS come
	outdated bool          // that connection is made by options that are in force no more
	removed  bool          // no longer an endpoint of the backend
	failures int           // connections in a row that were of no use
	resting  int           // back-offs that last; no dial meanwhile
	lastErr  error         // of the connection that failed or ended last
	awake    chan struct{} // closed when back-offs are over early
}

func newEndpoint(k *Backend, network, address string, weight int) *Endpoint {
	e := &Endpoint{backend: k, network: network, address: address, name: address}
	e.weight.Store(int64(weight))
	e.line.endpoint = e
	e.life, e.leave = context.WithCancel(k.ctx)
	e.awake = make(chan struct{})
	if k.options().Health != nil {
		e.health.is = HealthUnknown
	}
	switch {
	case network == "unix" && address[0] == '@':
		e.name = "unix-abstract:" + address[1:]
	case network == "unix":
		e.name = "unix:" + address
	}
	e.conns.Store(new([]*h2.Conn))
	return e
}

// try offers w the endpoint's connections. Where all are full or there is
// none, another is dialled, if one more is allowed.
func (e *Endpoint) try(b *h2.Batch, w Waiter) answer {
	for {
		conns := e.conns.Load()
		if a := e.tryEach(b, w, *conns); a != noRoom {
			return a
		}
		if !e.dial(conns) {
			return noRoom
		}
	}
}

func (e *Endpoint) tryEach(b *h2.Batch, w Waiter, conns []*h2.Conn) answer {
	n := uint64(len(conns))
	first := e.room.Load()
	for i := range n {
		c := conns[(first+i)%n]
		e.inFlight.Add(1) // before it can be done
		err := w.Attempt(b, c, e)
		if err == nil {
			if i > 0 {
				e.room.Store((first + i) % n)
			}
			return took
		}
		e.inFlight.Add(-1)
		switch {
		case errors.Is(err, ErrOver):
			return over
		case !errors.Is(err, h2.ErrFull):
			e.retire(b, c)
		}
	}
	return noRoom
}

// fit reports whether calls should go to the endpoint. The lock of the
// backend is held.
func (e *Endpoint) fit() bool { return !e.drained && e.ejection.until == 0 && e.health.is != HealthBad }

// worthWaiting reports whether calls that belong to the endpoint wait for it:
// it has connections, or none has failed yet.
func (e *Endpoint) worthWaiting() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.removed && e.active.Load() && (e.failures == 0 || len(*e.conns.Load()) > 0)
}

// hopeful reports whether the endpoint has a connection or may get one now.
func (e *Endpoint) hopeful() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dialing || e.resting == 0 || len(*e.conns.Load()) > 0
}

// Accept is never called: an endpoint's connections open streams themselves
// and refuse those of the peer (RFC 9113, section 5.1.1).
func (e *Endpoint) Accept(*h2.Batch, *h2.Conn) (*h2.Stream, h2.Receiver) { return nil, nil }

// Changed gives those who wait their chance when a connection is ready or has
// room again, and makes place for another when it takes no more streams.
func (e *Endpoint) Changed(b *h2.Batch, c *h2.Conn) {
	switch {
	case !c.Usable():
		e.drop(c)
		e.backend.serveNews(b, e, true)
	case e.greeting.Load() == c:
		e.greeted(b, c)
	default:
		e.backend.serveNews(b, e, false)
	}
}

// greeted has c take calls, once its SETTINGS have come.
func (e *Endpoint) greeted(b *h2.Batch, c *h2.Conn) {
	if !c.Settled() {
		return
	}
	e.mu.Lock()
	e.greeting.Store(nil)
	e.dialing = false
	unwanted := e.removed || e.outdated
	if !unwanted {
		conns := append(slices.Clone(*e.conns.Load()), c)
		e.conns.Store(&conns)
	}
	e.mu.Unlock()
	if unwanted {
		c.Drain(b)
	}
	e.backend.serveNews(b, e, true)
}

// retire gives up a connection that takes no more streams.
func (e *Endpoint) retire(b *h2.Batch, c *h2.Conn) {
	e.drop(c)
	c.Drain(b) // it may have used up its stream identifiers
}

// drop takes c out of those that take calls.
func (e *Endpoint) drop(c *h2.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	conns := *e.conns.Load()
	if i := slices.Index(conns, c); i >= 0 {
		conns = slices.Delete(slices.Clone(conns), i, i+1)
		e.conns.Store(&conns)
	}
}

// renew has other connections take the place of those that there are, which go
// on until their calls have ended.
func (e *Endpoint) renew(b *h2.Batch) {
	e.mu.Lock()
	conns := *e.conns.Load()
	e.conns.Store(new([]*h2.Conn))
	e.outdated = e.dialing
	e.mu.Unlock()
	for _, c := range conns {
		c.Drain(b)
	}
}

// drain ends the connections in order; no new ones are made.
func (e *Endpoint) drain(b *h2.Batch) {
	e.mu.Lock()
	e.removed = true
	e.leave()
	conns := *e.conns.Load()
	e.mu.Unlock()
	for _, c := range conns {
		c.Drain(b)
	}
}
