package backend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"loom/internal/h2"
)

// Back-off between failed connections, as gRPC's connection-backoff document
// has it, with a shorter start: a backend that restarts is back soon.
const (
	backoffFirst  = 100 * time.Millisecond
	backoffFactor = 1.6
	backoffMax    = 20 * time.Second
	backoffJitter = 0.2
)

// endpoint is one address of a backend and the connections to it.
type endpoint struct {
	// Immutable.
	backend *Backend
	network string
	address string

	conns atomic.Pointer[[]*h2.Conn] // replaced under mu
	room  atomic.Uint64              // index of the connection that took the last stream

	mu sync.Mutex
	// Guarded by mu.
	dialing  bool
	removed  bool
	failures int       // in a row
	retryAt  time.Time // no dial before
}

func newEndpoint(k *Backend, network, address string) *endpoint {
	e := &endpoint{backend: k, network: network, address: address}
	e.conns.Store(new([]*h2.Conn))
	return e
}

// try offers w the endpoint's connections. Where all are full or there is
// none, another is dialled, if one more is allowed.
func (e *endpoint) try(b *h2.Batch, w Waiter) bool {
	conns := *e.conns.Load()
	n := uint64(len(conns))
	first := e.room.Load()
	for i := range n {
		if w.Attempt(b, conns[(first+i)%n], e.address) == nil {
			if i > 0 {
				e.room.Store((first + i) % n)
			}
			return true
		}
	}
	e.dial(b.Now)
	return false
}

// hopeful reports whether the endpoint has a connection or may get one.
func (e *endpoint) hopeful() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dialing || len(*e.conns.Load()) > 0
}

// dial starts a connection unless one is on its way, there are enough, or
// the last ones failed.
func (e *endpoint) dial(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	k := e.backend
	switch {
	case e.dialing, e.removed, now.Before(e.retryAt), len(*e.conns.Load()) >= k.opts.Connections:
		return
	case k.ctx.Err() != nil:
		return
	}
	e.dialing = true
	k.wg.Add(1)
	go e.connect()
}

// connect makes a connection and serves it until it ends.
func (e *endpoint) connect() {
	k := e.backend
	defer k.wg.Done()
	ctx, cancel := context.WithTimeout(k.ctx, k.opts.ConnectTimeout)
	nc, err := k.opts.Dial(ctx, e.network, e.address)
	cancel()
	if err != nil {
		e.noteFailure()
		e.mu.Lock()
		e.dialing = false
		e.mu.Unlock()
		k.reresolve()
		k.failed(fmt.Errorf("connect to %s: %w", e.address, rootCause(err)))
		return
	}
	c := h2.NewClient(nc, k.opts.H2, e)
	e.mu.Lock()
	e.dialing = false
	conns := append(slices.Clone(*e.conns.Load()), c)
	e.conns.Store(&conns)
	removed := e.removed
	e.mu.Unlock()
	b := h2.NewBatch()
	if removed {
		c.Drain(b)
	} else {
		k.serveQueue(b)
	}
	b.Flush()
	err = c.Serve()
	e.drop(c)
	if c.Settled() {
		e.noteSuccess()
	} else {
		e.noteFailure()
	}
	if err == nil {
		err = errors.New("closed by the peer")
	}
	k.reresolve()
	k.failed(fmt.Errorf("connection to %s: %w", e.address, err))
}

// rootCause drops the layers that repeat the address.
func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		err = inner
	}
}

func (e *endpoint) noteFailure() {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := float64(backoffFirst)
	for range min(e.failures, 20) {
		d = min(d*backoffFactor, float64(backoffMax))
	}
	d *= 1 + backoffJitter*(2*rand.Float64()-1)
	e.failures++
	e.retryAt = time.Now().Add(time.Duration(d))
}

func (e *endpoint) noteSuccess() {
	e.mu.Lock()
	e.failures, e.retryAt = 0, time.Time{}
	e.mu.Unlock()
}

func (e *endpoint) drop(c *h2.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	conns := slices.Clone(*e.conns.Load())
	if i := slices.Index(conns, c); i >= 0 {
		conns = slices.Delete(conns, i, i+1)
		e.conns.Store(&conns)
	}
}

// Accept is never called: an endpoint's connections open streams themselves
// and refuse those of the peer (RFC 9113, section 5.1.1).
func (e *endpoint) Accept(*h2.Batch, *h2.Conn) (*h2.Stream, h2.Receiver) { return nil, nil }

// Changed gives those who wait their chance when a connection has room again,
// and makes place for another when it takes no more streams.
func (e *endpoint) Changed(b *h2.Batch, c *h2.Conn) {
	if !c.Usable() {
		e.drop(c)
	}
	e.backend.serveQueue(b)
}

// drain ends the connections in order; no new ones are made.
func (e *endpoint) drain(b *h2.Batch) {
	e.mu.Lock()
	e.removed = true
	conns := *e.conns.Load()
	e.mu.Unlock()
	for _, c := range conns {
		c.Drain(b)
	}
}

func (e *endpoint) close() {
	e.mu.Lock()
	e.removed = true
	conns := *e.conns.Load()
	e.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}
