package backend

import (
	"errors"
	"fmt"

	"loom/internal/h2"
)

// enqueue puts w into the queue, or says why it may not wait.
func (k *Backend) enqueue(w Waiter, p Pick) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.hopeless(); err != nil {
		return err
	}
	if k.queue.len() >= k.opts.Pending {
		k.opts.Counters.PendingRefused.Add(1)
		return ErrPendingFull
	}
	k.opts.Counters.CallsWaited.Add(1)
	k.queue.push(w, p)
	k.waiting.Store(int64(k.queue.len()))
	return nil
}

// dequeue takes w out of the queue and reports whether it was there. The
// lock is held.
func (k *Backend) dequeue(w Waiter) bool {
	ok := k.queue.remove(w)
	k.waiting.Store(int64(k.queue.len()))
	return ok
}

// Forget takes w out of the queue, if it is there. If w is being served at
// the moment, it may still hear of it.
func (k *Backend) Forget(w Waiter) {
	k.mu.Lock()
	k.dequeue(w)
	k.mu.Unlock()
}

// serve gives those who wait their chance, the oldest first, until one finds
// no room. Where only one endpoint has news, the others need not be asked:
// when a call began to wait they had no room, and they say so when they do.
//
// One goroutine serves at a time, which keeps the order; what it might miss it
// is told to look at again, and nobody waits for it.
func (k *Backend) serve(b *h2.Batch, news *Endpoint) {
	if k.waiting.Load() == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.serving {
		k.again = true
		return
	}
	k.serving = true
	for more := true; more; {
		if k.again {
			k.again, news = false, nil
		}
		more = k.serveOne(b, news)
	}
	k.serving = false
}

// serveOne serves the call that has waited longest, and reports whether it is
// worth while to go on. The lock is held, but not while a call is spoken to.
func (k *Backend) serveOne(b *h2.Batch, news *Endpoint) bool {
	w, p := k.queue.front()
	if w == nil {
		return false
	}
	if !k.stopped {
		k.mu.Unlock()
		placed := k.offer(b, w, p, news)
		k.mu.Lock()
		if placed {
			k.dequeue(w)
			return true
		}
	}
	if k.again {
		return true
	}
	err := k.hopeless()
	if err == nil {
		return false
	}
	if k.dequeue(w) {
		k.mu.Unlock()
		w.Refused(b, err)
		k.mu.Lock()
	}
	return true
}

func (k *Backend) offer(b *h2.Batch, w Waiter, p Pick, news *Endpoint) bool {
	if news != nil {
		return news.try(b, w)
	}
	return k.try(b, w, p)
}

// failed notes why a connection could not be had or ended, and tells those
// who wait if that was their last hope.
func (k *Backend) failed(err error) {
	k.mu.Lock()
	k.lastErr = err
	k.mu.Unlock()
	k.serveNow()
}

// serveNow is serve for a goroutine that has no batch.
func (k *Backend) serveNow() {
	b := h2.NewBatch()
	k.serve(b, nil)
	b.Flush()
}

// hopeless says why waiting is no use: nil if a connection may come. The
// lock is held.
func (k *Backend) hopeless() error {
	if k.stopped {
		return ErrStopped
	}
	list := *k.list.Load()
	if len(list) == 0 {
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
