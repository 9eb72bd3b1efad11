package capture

import (
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	loomv1 "loom/api/loom/v1"
	"loom/internal/callevent"
)

// attemptsKept is how many attempts of a call are named.
const attemptsKept = 16

// record is one call. It is the follower of the call while that is open.
type record struct {
	store *Store // immutable

	mu sync.Mutex
	// Guarded by mu.
	recorded

	next *record // guarded by Store.mu: the call that ended after it, or the next free record
}

// recorded is what is known of a call. While the call is open only its
// goroutine writes it, feed aside.
type recorded struct {
	seq      uint64       // 0: the record is free
	loaded   *loomv1.Call // a call that was not recorded here: it has all but the bookkeeping
	loadedID ID
	ended    bool
	mode     Mode
	noRoom   bool
	peer     string
	path     string
	auth     string
	route    string
	backend  string
	started  time.Time
	timeout  time.Duration
	times    times
	end      callevent.Summary

	attempts          []attempt
	request, response block
	interim, trailers block
	rules             [2]Rule
	messages          messages

	revision uint64
	change   uint64 // when it was last published, as Store.Cursor counts; 0: never
	dirty    bool   // it has changed since
	queued   bool   // the feed knows that
	charged  int64  // bytes besides those of messages that it counts for

	firstAttempt [1]attempt
}

// attempt is one time that the call was sent.
type attempt struct {
	backend, endpoint string
	at                time.Duration
}

// times are moments since the start; 0 is a moment that has not come.
type times struct {
	firstByte, headers, firstMessage, lastByte, end, change time.Duration
}

// recordBytes is what a record costs without what it refers to.
const recordBytes = 2 << 10

// begin makes r the record of a call. r is locked. Nobody is told of it before
// its first event, which says whether it may be recorded.
func (r *record) begin(c callevent.Call, mode Mode) {
	if mode == Off {
		mode = Metadata // its route may say more; else it is discarded
	}
	r.seq, r.mode = c.ID, mode
	r.peer, r.path, r.auth = c.Peer, c.Path, c.Authority
	r.started, r.timeout = c.At, c.Timeout
	r.request = r.store.blocks.read(c.Fields)
	r.charged = recordBytes + r.request.size
	r.attempts = r.firstAttempt[:0]
}

// Observe notes what happened to the call.
func (r *record) Observe(e callevent.Event) {
	r.mu.Lock()
	if r.mode == Off {
		r.mu.Unlock()
		if e.Kind == callevent.End {
			r.store.discard(r)
		}
		return
	}
	at := e.At.Sub(r.started)
	r.times.change = at
	switch e.Kind {
	case callevent.Routed:
		r.routed(&e)
	case callevent.Attempt:
		if len(r.attempts) < attemptsKept {
			r.attempts = append(r.attempts, attempt{e.Backend, e.Endpoint, at})
		}
	case callevent.Interim:
		r.keep(&r.interim, e.Fields)
	case callevent.Headers:
		r.times.headers = first(r.times.headers, at)
		r.keep(&r.response, e.Fields)
	case callevent.Piece:
		r.piece(&e, at)
	case callevent.Trailers:
		r.times.headers = first(r.times.headers, at)
		r.keep(&r.trailers, e.Fields)
	case callevent.End:
		if r.route == "" && r.store.Mode() == Off {
			r.mode = Off
			r.mu.Unlock()
			r.store.discard(r)
			return
		}
		r.times.end, r.end, r.ended = at, *e.Summary, true
		r.messages.cutOff()
	}
	r.touch()
	charged := r.charged
	r.mu.Unlock()
	if e.Kind == callevent.End {
		r.store.finish(r, charged)
	}
}

// first is the earlier moment, if it has come.
func first(was, now time.Duration) time.Duration {
	if was != 0 {
		return was
	}
	return max(now, 1)
}

func (r *record) keep(to *block, fields []hpack.HeaderField) {
	*to = r.store.blocks.read(fields)
	r.charged += to.size
}

// routed notes where the call goes, and what of it may be recorded.
func (r *record) routed(e *callevent.Event) {
	r.route, r.backend = e.Route, e.Backend
	if r.mode = r.store.modeOf(e.Route); r.mode == Off {
		r.request = block{} // nothing of it is to be seen
		return
	}
	if rules := r.store.opts.Rules; rules != nil && r.mode == Full {
		r.rules[callevent.Up], r.rules[callevent.Down] = rules(e.Backend, r.path)
	}
}

// piece notes a part of a message.
func (r *record) piece(e *callevent.Event, at time.Duration) {
	r.times.lastByte = max(at, 1)
	if e.Direction == callevent.Up {
		r.times.firstByte = first(r.times.firstByte, at)
	} else if e.Last {
		r.times.firstMessage = first(r.times.firstMessage, at)
	}
	r.messages.piece(r, e, at)
}

// touch says that the record is not what it was.
func (r *record) touch() {
	r.revision++
	if r.queued || r.mode == Off {
		return
	}
	r.dirty = true
	if r.store.feed.watched.Load() {
		r.queued = r.store.feed.push(queued{r, r.seq}, r.change != 0)
	}
}

// reset frees r and what it holds. r is locked, and its call has ended.
func (r *record) reset() {
	r.messages.release(r.store.arena)
	r.recorded = recorded{}
}

// known reports whether there is something to see. r is locked.
func (r *record) known() bool { return r.seq != 0 && r.mode != Off }

func (r *record) startTime() time.Time {
	if r.loaded != nil {
		return r.loaded.GetStart().AsTime()
	}
	return r.started
}

func (r *record) id() ID {
	if r.loaded != nil {
		return r.loadedID
	}
	return ID{r.store.opts.Generation, r.seq}
}
