package backend

import (
	"container/list"
	"sync/atomic"

	"loom/internal/h2"
)

// line is calls that wait, in the order in which they came.
type line struct {
	endpoint *Endpoint    // immutable: the one that all of them wait for; nil if any will do
	waiting  atomic.Int64 // length of calls

	// Guarded by Backend.mu.
	calls   list.List // of *queued
	serving bool      // some goroutine serves the line
	again   bool      // it has to look at all endpoints once more
}

// queued is a call in a line, and what it asked for.
type queued struct {
	call Waiter
	pick Pick
	line *line
}

// front returns the one that came first; nil if there is none.
func (l *line) front() *queued {
	if e := l.calls.Front(); e != nil {
		return e.Value.(*queued)
	}
	return nil
}

// enqueue puts w at the end of a line, or says why it may not wait. The lock
// is held.
func (k *Backend) enqueue(l *line, w Waiter, p Pick) error {
	if len(k.places) >= k.options().Pending {
		k.options().Counters.PendingRefused.Add(1)
		return ErrPendingFull
	}
	k.options().Counters.CallsWaited.Add(1)
	k.places[w] = l.calls.PushBack(&queued{call: w, pick: p, line: l})
	l.waiting.Add(1)
	return nil
}

// dequeue takes w out of its line and reports whether it was in one. The lock
// is held.
func (k *Backend) dequeue(w Waiter) bool {
	place, ok := k.places[w]
	if ok {
		l := place.Value.(*queued).line
		l.calls.Remove(place)
		l.waiting.Add(-1)
		delete(k.places, w)
	}
	return ok
}

// Forget takes w, which is over, out of the line in which it waits, if it
// does. If w is being served at the moment, it may still hear of it.
func (k *Backend) Forget(w Waiter) {
	k.mu.Lock()
	waited := k.dequeue(w)
	k.mu.Unlock()
	if waited {
		k.leave()
	}
}

// serve gives those who wait in l their chance, the oldest first, until one
// finds no room. Where only one endpoint has news, the others need not be
// asked: when a call began to wait they had no room, and they say so when
// they do.
//
// One goroutine serves at a time, which keeps the order; what it might miss it
// is told to look at again, and nobody waits for it.
func (k *Backend) serve(b *h2.Batch, l *line, news *Endpoint) {
	if l.waiting.Load() == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.serving {
		l.again = true
		return
	}
	l.serving = true
	for more := true; more; {
		if l.again {
			l.again, news = false, nil
		}
		more = k.serveOne(b, l, news)
	}
	l.serving = false
}

// serveOne serves the call that has waited longest, and reports whether it is
// worth while to go on. The lock is held, but not while a call is spoken to.
func (k *Backend) serveOne(b *h2.Batch, l *line, news *Endpoint) bool {
	q := l.front()
	if q == nil {
		return false
	}
	if !k.stopped {
		k.mu.Unlock()
		a := k.offer(b, q, news)
		k.mu.Lock()
		if a != noRoom {
			if k.dequeue(q.call) && a == over {
				k.leave()
			}
			return true
		}
	}
	switch {
	case l.again:
		return true
	case l.endpoint != nil && !k.stopped:
		return !l.endpoint.worthWaiting() && k.moveOn(b, q)
	}
	err := k.hopeless()
	if err == nil {
		return false
	}
	if k.dequeue(q.call) {
		k.mu.Unlock()
		k.leave()
		q.call.Refused(b, err)
		k.mu.Lock()
	}
	return true
}

// offer has the call try what it waits for.
func (k *Backend) offer(b *h2.Batch, q *queued, news *Endpoint) answer {
	e := news
	if own := q.line.endpoint; own != nil {
		e = own
	}
	switch {
	case e == nil:
		return k.try(b, q.call, q.pick)
	case e.active.Load():
		return e.try(b, q.call)
	}
	return noRoom // it takes no calls at the moment
}

// moveOn has a call that waited for an endpoint in vain look for another. The
// lock is held, but not meanwhile.
func (k *Backend) moveOn(b *h2.Batch, q *queued) bool {
	if k.dequeue(q.call) {
		k.mu.Unlock()
		if err := k.find(b, q.call, q.pick); err != nil {
			k.leave()
			q.call.Refused(b, err)
		}
		k.mu.Lock()
	}
	return true
}

// serveNews is serve for who waits for e, and then for any endpoint. With
// anew, all endpoints are asked, and not only e.
func (k *Backend) serveNews(b *h2.Batch, e *Endpoint, anew bool) {
	k.serve(b, &e.line, e)
	if anew {
		e = nil
	}
	k.serve(b, &k.line, e)
}

// serveEverybody is serveAll for who has no batch.
func (k *Backend) serveEverybody() {
	b := h2.NewBatch()
	k.serveAll(b)
	b.Flush()
}

// serveAll is serve for everybody.
func (k *Backend) serveAll(b *h2.Batch) {
	for _, e := range *k.list.Load() {
		k.serve(b, &e.line, e)
	}
	k.serve(b, &k.line, nil)
}
