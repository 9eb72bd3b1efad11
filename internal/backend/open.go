package backend

import (
	"errors"
	"fmt"
	"time"

	"loom/internal/h2"
)

// Pick is what a call asks of the choice of its endpoint. The zero value asks
// for nothing.
type Pick struct {
	// Avoid is an endpoint that is taken only if no other will do: that of an
	// attempt before.
	Avoid *Endpoint
	// Hash, that of Hash, stands for what calls share that should meet at the
	// same endpoint. It counts only with Hashed, and with RingHash.
	Hash   uint64
	Hashed bool
}

// answer is what a call said to the connections that it was offered.
type answer uint8

const (
	noRoom answer = iota // there was none, or all were full
	took                 // it opened a stream
	over                 // it has ended meanwhile
)

// Open finds w a connection: now, or when there is one. It returns nil when w
// was given one, waits, or has been refused meanwhile, and else why it gets
// none.
func (k *Backend) Open(b *h2.Batch, w Waiter, p Pick) error {
	if now := b.Now.UnixNano(); now > k.reresolveAt.Load() {
		k.reresolveAt.Store(now + int64(reresolveEvery))
		k.reresolve()
	}
	if !k.enter() {
		k.options().Counters.ConcurrentRefused.Add(1)
		return ErrConcurrent
	}
	err := k.find(b, w, p)
	if err != nil {
		k.leave()
	}
	return err
}

// find is Open for a call that counts as one of the backend's.
func (k *Backend) find(b *h2.Batch, w Waiter, p Pick) error {
	if p.Hashed && k.options().Balance == RingHash {
		if done, err := k.findOwn(b, w, p); done {
			return err
		}
	}
	if k.line.waiting.Load() == 0 {
		if a := k.try(b, w, p); a != noRoom {
			k.placed(a)
			return nil
		}
	}
	k.mu.Lock()
	err := k.hopeless()
	if err == nil {
		err = k.enqueue(&k.line, w, p)
	}
	k.mu.Unlock()
	if err != nil {
		return err
	}
	k.waits(b, w, &k.line)
	return nil
}

// waits looks after a call that has got into a line.
func (k *Backend) waits(b *h2.Batch, w Waiter, l *line) {
	if w.Over() {
		k.Forget(w) // it ended, and said Forget, before it was in the line
	}
	k.serve(b, l, l.endpoint) // room may have come before it was in the line
}

// placed gives back the place of a call that turned out to be over.
func (k *Backend) placed(a answer) {
	if a == over {
		k.leave()
	}
}

// findOwn is find for a call whose key belongs to one endpoint. It waits for
// that one, unless it failed before; then the next on the ring stands in. It
// reports false when none of them is fit.
func (k *Backend) findOwn(b *h2.Batch, w Waiter, p Pick) (done bool, err error) {
	r := k.rotation.Load()
	if len(r.ring) == 0 {
		return false, nil // it is made by options that came before
	}
	for i := range r.ring.walk(p.Hash, len(r.endpoints)) {
		e := r.endpoints[i]
		if e == p.Avoid && len(r.endpoints) > 1 || r.warmUntil > 0 && !e.takesKey(k.age(b.Now), p.Hash) {
			continue
		}
		if e.line.waiting.Load() == 0 {
			if a := e.try(b, w); a != noRoom {
				k.placed(a)
				return true, nil
			}
		}
		if waits, err := k.waitFor(e, w, p); waits || err != nil {
			if err == nil {
				k.waits(b, w, &e.line)
			}
			return true, err
		}
	}
	return false, nil
}

// waitFor puts w into the line of e, if it is worth while.
func (k *Backend) waitFor(e *Endpoint, w Waiter, p Pick) (waits bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return false, ErrStopped
	}
	if !e.worthWaiting() {
		return false, nil
	}
	return true, k.enqueue(&e.line, w, p)
}

// try offers w the connections there are, beginning with the endpoint that
// the balance picks. An endpoint without one is connected to for the next
// calls.
func (k *Backend) try(b *h2.Batch, w Waiter, p Pick) answer {
	r := k.rotation.Load()
	n := len(r.endpoints)
	if n == 0 {
		return noRoom
	}
	first := k.pick(r, b.Now)
	if e := r.endpoints[first]; e != p.Avoid {
		if a := e.try(b, w); a != noRoom {
			return a
		}
	}
	if n > 1 {
		// Another is picked, and not the neighbour, which would have to do
		// the work of two.
		next := k.pick(r, b.Now)
		for i := range n {
			i = (next + i) % n
			if e := r.endpoints[i]; i != first && e != p.Avoid {
				if a := e.try(b, w); a != noRoom {
					return a
				}
			}
		}
	}
	if p.Avoid != nil && p.Avoid.active.Load() {
		return p.Avoid.try(b, w)
	}
	return noRoom
}

// hopeless says why waiting is no use: nil if a connection may come. The
// lock is held.
func (k *Backend) hopeless() error {
	if k.stopped {
		return ErrStopped
	}
	list := k.rotation.Load().endpoints
	if len(list) == 0 {
		if len(*k.list.Load()) > 0 {
			return ErrDrained
		}
		return k.unresolved()
	}
	for _, e := range list {
		if e.hopeful() {
			return nil
		}
	}
	switch {
	case k.lastErr == nil:
		return errors.New("no endpoint takes a connection")
	case len(list) > 1:
		return fmt.Errorf("none of %d endpoints takes a connection: %w", len(list), k.lastErr)
	default:
		return k.lastErr
	}
}

// age is the time since the backend was made: unlike a time of day it can be
// kept in one word, and no change of the clock moves it.
func (k *Backend) age(now time.Time) time.Duration { return now.Sub(k.born) }
