package backend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
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

// proofTime is how long a connection that never answered a call has to last
// to count as good.
const proofTime = time.Second

// verdict is what a connection was good for.
type verdict uint8

const (
	failed   verdict = iota // it never took calls
	unproven                // it took calls, but soon ended, without an answer
	proven
)

// dial starts a connection unless one is on its way, there are enough, or
// the last ones failed. It reports true, and does nothing, when there are
// other connections now than those seen, so that they are tried first.
func (e *Endpoint) dial(seen *[]*h2.Conn) (look bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	conns := e.conns.Load()
	switch {
	case conns != seen:
		return true
	case e.dialing, e.removed, e.resting > 0, len(*conns) >= e.backend.options().Connections:
		return false
	}
	e.dialing, e.outdated = e.backend.start(e.connect), false
	return false
}

// connect makes a connection, serves it until it ends, and stays for the
// back-off if that was too soon.
func (e *Endpoint) connect() {
	k := e.backend
	began := time.Now()
	c, err := e.run()
	v := failed
	switch {
	case c == nil || !c.Settled():
	case c.Answered() || time.Since(began) >= proofTime:
		v = proven
	default:
		v = unproven
	}
	e.noteFailure(err) // before somebody hears that there is no hope
	pause := e.ended(c, v)
	k.reresolve()
	e.serveNow()
	if pause > 0 {
		e.rest(pause)
	}
}

// run connects and serves the connection. It returns the connection, unless
// there was none, and always an error that says why it is no more.
func (e *Endpoint) run() (*h2.Conn, error) {
	k := e.backend
	ctx, cancel := context.WithTimeout(k.ctx, k.options().ConnectTimeout)
	defer cancel()
	nc, err := e.reach(ctx)
	if err != nil {
		if e.timedOut(ctx) {
			return nil, fmt.Errorf("connect to %s: no connection within %v", e.name, k.options().ConnectTimeout)
		}
		return nil, fmt.Errorf("connect to %s: %w", e.name, plain(err))
	}
	c := h2.NewClient(nc, k.options().H2, e)
	e.mu.Lock()
	e.greeting.Store(c)
	e.mu.Unlock()
	defer context.AfterFunc(k.ctx, c.Close)()
	defer context.AfterFunc(ctx, func() {
		if !c.Settled() {
			c.Close()
		}
	})()
	if err = c.Serve(); err == nil {
		err = errors.New("closed by the peer")
	}
	if c.Settled() {
		return c, fmt.Errorf("connection to %s: %w", e.name, plain(err))
	}
	return c, e.unsettled(err, e.timedOut(ctx))
}

// timedOut reports whether the time to connect is over, and counts it then.
func (e *Endpoint) timedOut(ctx context.Context) bool {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return false
	}
	e.backend.options().Counters.ConnectTimeouts.Add(1)
	return true
}

// ended notes that c, which may be nil, is no more. It returns how long no
// other may be dialled; rest has to follow, unless that is 0.
func (e *Endpoint) ended(c *h2.Conn, v verdict) time.Duration {
	if c != nil {
		e.drop(c)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if c == nil || e.greeting.CompareAndSwap(c, nil) {
		e.dialing = false
	}
	switch {
	case e.removed:
		return 0
	case v == proven:
		e.failures = 0
		return 0
	case v == unproven && e.failures == 0:
		// It may have gone away in order, and another is welcome at once.
		e.failures = 1
		return 0
	}
	pause := backoff(e.failures)
	e.failures++
	e.resting++
	return pause
}

// rest waits for the end of a back-off.
func (e *Endpoint) rest(pause time.Duration) {
	t := time.NewTimer(pause)
	defer t.Stop()
	e.mu.Lock()
	awake := e.awake
	e.mu.Unlock()
	select {
	case <-t.C:
	case <-awake:
	case <-e.backend.ctx.Done():
	}
	e.mu.Lock()
	e.resting--
	e.mu.Unlock()
	e.serveNow()
}

// noteFailure keeps why a connection could not be had or ended.
func (e *Endpoint) noteFailure(err error) {
	e.backend.mu.Lock()
	e.backend.lastErr = err
	e.backend.mu.Unlock()
	e.mu.Lock()
	e.lastErr = err
	e.mu.Unlock()
}

// serveNow is serveNews for a goroutine that has no batch: who waits hears if
// that was the last hope.
func (e *Endpoint) serveNow() {
	b := h2.NewBatch()
	e.backend.serveNews(b, e, true)
	b.Flush()
}

// wake ends the back-offs of an endpoint that is known to be there again.
func (e *Endpoint) wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failures = 0
	close(e.awake)
	e.awake = make(chan struct{})
}

// backoff returns how long to wait after a failure, when there were that many
// before.
func backoff(failures int) time.Duration { return jittered(failures, 2*rand.Float64()-1) }

// jittered is backoff without the chance: jitter goes from -1 to 1.
func jittered(failures int, jitter float64) time.Duration {
	d := float64(backoffFirst)
	for range min(failures, 20) {
		d = min(d*backoffFactor, float64(backoffMax))
	}
	return time.Duration(d * (1 + backoffJitter*jitter))
}

// plain drops the layers that repeat the addresses from the error of a socket.
func plain(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) {
		return err
	}
	cause := op.Err
	for inner := errors.Unwrap(cause); inner != nil; inner = errors.Unwrap(cause) {
		cause = inner
	}
	if op.Op == "dial" {
		return cause
	}
	return fmt.Errorf("%s: %w", op.Op, cause)
}
