package capture

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	loomv1 "loom/api/loom/v1"
)

const (
	// feedInterval is how often changes are published: 20 times a second is
	// as live as a person can see.
	feedInterval = 50 * time.Millisecond
	// feedCalls is how many calls a batch tells of: some 5,000 a second. Who
	// watches could do nothing with more, and the relay would pay for it.
	feedCalls = 256
	// feedEnds is how many more a batch has for calls that were shown before,
	// so that they are not shown as open for ever.
	feedEnds = 256
	// subscriptionQueue is how many batches may wait for a slow subscriber.
	subscriptionQueue = 64
	// subscriptions bounds who may watch at a time.
	subscriptions = 64
)

// errSubscriptions says that too many watch.
var errSubscriptions = errors.New("too many watch the calls already")

// ErrClosed says that a subscription has ended.
var ErrClosed = errors.New("the subscription is closed")

// Batch is what changed since the batch before.
type Batch struct {
	Calls  []*loomv1.CallSummary // shared by all subscribers: not to be changed
	Missed uint64                // changes that are not in any batch
	Cursor uint64                // of the last change in it
}

// queued is a record as long as it is that of one call.
type queued struct {
	record  *record
	seq     uint64
	process uint64
}

// queue returns r as it is now. r is locked.
func (r *record) queue() queued { return queued{r, r.seq, r.process} }

// holds reports whether the record is still that of the call. It is locked.
func (q queued) holds() bool { return q.record.seq == q.seq && q.record.process == q.process }

// feed tells subscribers of changes.
type feed struct {
	store *Store
	wake  chan struct{} // push sends; run receives
	stop  chan struct{} // close closes it

	watched    atomic.Bool
	missedEver atomic.Uint64
	cursor     atomic.Uint64 // one more than the changes that have a number
	running    sync.WaitGroup

	// numbering is held by who gives numbers to changes. It comes before
	// every other lock.
	numbering sync.Mutex

	mu sync.Mutex
	// Guarded by mu.
	waiting []queued
	spare   []queued
	missed  uint64
	subs    []*Subscription
}

func newFeed(s *Store) *feed {
	f := &feed{store: s, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	f.cursor.Store(1) // 0 is no cursor
	f.running.Go(f.run)
	return f
}

func (f *feed) close() {
	close(f.stop)
	f.running.Wait()
	f.mu.Lock()
	subs := slices.Clone(f.subs)
	f.mu.Unlock()
	for _, sub := range subs {
		sub.Close()
	}
}

// push notes that a record changed. It reports false if that is more than can
// be told. shown says that subscribers know of the call.
func (f *feed) push(q queued, shown bool) bool {
	most := feedCalls
	if shown {
		most += feedEnds
	}
	f.mu.Lock()
	if len(f.waiting) >= most {
		f.missed++
		f.mu.Unlock()
		return false
	}
	f.waiting = append(f.waiting, q)
	first := len(f.waiting) == 1
	f.mu.Unlock()
	if first {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// miss notes changes of calls that nobody can be told of.
func (f *feed) miss(n uint64) {
	if n == 0 {
		return
	}
	f.mu.Lock()
	f.missed += n
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run publishes changes until the feed is closed.
func (f *feed) run() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	for {
		select {
		case <-f.wake:
		case <-f.stop:
			return
		}
		f.publish()
		pause.Reset(feedInterval)
		select {
		case <-pause.C:
		case <-f.stop:
			return
		}
	}
}

// publish hands the changes to all subscribers.
func (f *feed) publish() {
	f.numbering.Lock()
	defer f.numbering.Unlock()
	f.mu.Lock()
	waiting, missed := f.waiting, f.missed
	f.waiting, f.spare, f.missed = f.spare[:0], nil, 0
	f.mu.Unlock()
	calls := make([]*loomv1.CallSummary, 0, len(waiting))
	for _, q := range waiting {
		q.record.mu.Lock()
		switch {
		case !q.holds():
			missed++ // the ring forgot it before its turn came
		case q.record.known():
			q.record.queued = false
			q.record.number()
			calls = append(calls, q.record.summary())
		}
		q.record.mu.Unlock()
	}
	f.missedEver.Add(missed)
	clear(waiting)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spare = waiting
	b := Batch{Calls: calls, Missed: missed, Cursor: f.cursor.Load()}
	for _, sub := range f.subs {
		sub.offer(b)
	}
}

// number gives the last change of a record its number. feed.numbering is held,
// and r is locked.
func (r *record) number() {
	r.dirty = false
	r.change = r.store.feed.cursor.Add(1)
}

// Subscription receives changes. One goroutine at a time may use it.
type Subscription struct {
	feed    *feed
	batches chan Batch // feed sends
	closed  chan struct{}
	once    sync.Once
	old     *Batch // what changed before; Next returns it first

	lost atomic.Uint64 // changes in batches that were dropped
}

// Subscribe begins to watch: the calls that changed after the cursor since
// come first, unless that is 0.
func (s *Store) Subscribe(since uint64) (*Subscription, error) {
	sub := &Subscription{feed: s.feed, batches: make(chan Batch, subscriptionQueue), closed: make(chan struct{})}
	if err := s.feed.add(sub); err != nil {
		return nil, err
	}
	if since > 0 {
		sub.old = s.changes(since)
	}
	return sub, nil
}

// changes returns what changed after the cursor since.
func (s *Store) changes(since uint64) *Batch {
	s.feed.numbering.Lock()
	defer s.feed.numbering.Unlock()
	b := new(Batch)
	for r := range s.records {
		if r.dirty && !r.queued {
			r.number() // nobody watched: the feed does not know of it
		}
		if r.dirty || r.change > since {
			b.Calls = append(b.Calls, r.summary())
		}
	}
	b.Cursor = s.Cursor()
	return b
}

// Cursor is the number of the last change that was published.
func (s *Store) Cursor() uint64 { return s.feed.cursor.Load() }

func (f *feed) add(sub *Subscription) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.subs) >= subscriptions {
		return errSubscriptions
	}
	f.subs = append(f.subs, sub)
	f.watched.Store(true)
	return nil
}

// offer queues a batch; the oldest makes room for it.
func (sub *Subscription) offer(b Batch) {
	for {
		select {
		case sub.batches <- b:
			return
		default:
		}
		select {
		case old := <-sub.batches:
			sub.lost.Add(uint64(len(old.Calls)) + old.Missed)
			sub.feed.missedEver.Add(uint64(len(old.Calls)))
		default:
		}
	}
}

// Next waits for the next batch, of which there are at most 20 a second.
func (sub *Subscription) Next(ctx context.Context) (Batch, error) {
	if b := sub.old; b != nil {
		sub.old = nil
		return *b, nil
	}
	select {
	case b := <-sub.batches:
		b.Missed += sub.lost.Swap(0)
		return b, nil
	case <-sub.closed:
		return Batch{}, ErrClosed
	case <-ctx.Done():
		return Batch{}, ctx.Err()
	}
}

// Close ends the subscription. It may be called more than once.
func (sub *Subscription) Close() {
	sub.once.Do(func() {
		close(sub.closed)
		f := sub.feed
		f.mu.Lock()
		f.subs = slices.DeleteFunc(f.subs, func(s *Subscription) bool { return s == sub })
		f.watched.Store(len(f.subs) > 0)
		f.mu.Unlock()
	})
}
