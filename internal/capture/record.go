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

// record is one call. It is the follower of the call while that is open. A busy
// loomd writes ten thousand of them in turn, more than its caches hold: what a
// small call needs is kept close together.
type record struct {
	store *Store  // immutable
	next  *record // guarded by Store.mu: the next free record

	mu sync.Mutex
	// Guarded by mu.
	recorded
	inline [inlineBytes]byte // bytes of messages
}

// recorded is what is known of a call. While the call is open only its
// goroutine writes it, feed aside.
type recorded struct {
	seq     uint64  // 0: the record is free
	charged int64   // bytes besides those of messages that it counts for
	loaded  *loaded // a call that was not recorded here: it has all but the bookkeeping
	mode    Mode
	ended   bool
	noRoom  bool
	dirty   bool // it has changed since it was published
	queued  bool // the feed knows that
	hasCode bool
	drift   bool // see Flag
	filed   bool // it was given to who writes the session file
	owed    bool // it is to be written there when somebody writes again
	sentEnd bool // another process was told of its end
	ender   callevent.Ender
	code    uint32
	sent    uint32 // the revision that another process was told of last; 0: none
	change  uint64 // when it was last published, as Store.Cursor counts; 0: never
	process uint64 // that the call began in; 0: this one
	// reserved is how much of charged Store.held has while the call is open,
	// besides recordBytes.
	reserved int64
	pending  int // redactions in the background

	request, response *block
	interim, trailers *block // nil: none came
	rules             *[2]Rule
	peer, identity    string
	path              string
	route             string
	backend           string
	endpoint          string
	detail, reason    string
	started           time.Time
	timeout           time.Duration
	times             times
	tried             time.Duration // when it went to endpoint
	attempts          uint32
	revision          uint32
	earlier           []attempt // those before the last one
	messages          messages
}

// loaded is a call that was recorded elsewhere.
type loaded struct {
	id   ID
	call *loomv1.Call
}

// attempt is one time that the call was sent.
type attempt struct {
	endpoint string
	at       time.Duration
}

// times are moments since the start; 0 is a moment that has not come.
type times struct {
	firstByte, headers, firstMessage, lastByte, change time.Duration
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
	r.peer, r.identity, r.path = c.Peer, c.Identity, c.Path
	r.started, r.timeout = c.At, c.Timeout
	r.request = r.store.blocks.read(c.Fields)
	r.charged = recordBytes + r.request.size
	r.response = r.store.blocks.none
}

// enter locks r for something that happened to its call, and returns when that
// was, since the call began. If nothing of the call is recorded it reports
// false, with r not locked; else leave has to follow.
func (r *record) enter(at time.Time) (time.Duration, bool) {
	r.mu.Lock()
	if r.mode == Off {
		r.mu.Unlock()
		return 0, false
	}
	since := at.Sub(r.started)
	r.times.change = since
	return since, true
}

func (r *record) leave() {
	r.touch()
	r.mu.Unlock()
}

// Routed notes where the call goes, and what of it may be recorded.
func (r *record) Routed(at time.Time, route, backend string) {
	if _, ok := r.enter(at); !ok {
		return
	}
	r.route, r.backend = route, backend
	r.mode = r.store.modeOf(route)
	switch {
	case r.mode == Off:
		r.request = r.store.blocks.none // nothing of it is to be seen
	case r.mode == Full && r.store.opts.Rules != nil:
		r.rules = r.ruled(at)
	}
	r.leave()
}

// Attempted notes that the call went to an endpoint.
func (r *record) Attempted(at time.Time, _, endpoint string) {
	since, ok := r.enter(at)
	if !ok {
		return
	}
	if r.attempts > 0 && len(r.earlier) < attemptsKept {
		r.earlier = append(r.earlier, attempt{r.endpoint, r.tried})
	}
	r.attempts++
	r.endpoint, r.tried = endpoint, since
	r.leave()
}

// Interim notes a header block before that of the response.
func (r *record) Interim(at time.Time, fields []hpack.HeaderField) {
	if _, ok := r.enter(at); ok {
		r.keep(&r.interim, fields)
		r.leave()
	}
}

// Headers notes the headers of the response. With it the call moves to the
// goroutine that reads from the backend, often on another processor.
func (r *record) Headers(at time.Time, fields []hpack.HeaderField) {
	r.warm()
	if since, ok := r.enter(at); ok {
		r.times.headers = first(r.times.headers, since)
		r.keep(&r.response, fields)
		r.leave()
	}
}

// Trailers notes those of the response.
func (r *record) Trailers(at time.Time, fields []hpack.HeaderField) {
	if since, ok := r.enter(at); ok {
		r.times.headers = first(r.times.headers, since)
		r.keep(&r.trailers, fields)
		r.leave()
	}
}

// Piece notes a message or a part of it.
func (r *record) Piece(at time.Time, p callevent.Piece) {
	since, ok := r.enter(at)
	if !ok {
		return
	}
	if p.Direction == callevent.Up {
		r.times.firstByte = first(r.times.firstByte, since)
	} else {
		r.times.lastByte = max(since, 1)
		if p.Last {
			r.times.firstMessage = first(r.times.firstMessage, since)
		}
	}
	r.messages.piece(r, &p, since)
	r.leave()
}

// Ended notes how the call ended. From then on it may be forgotten.
func (r *record) Ended(at time.Time, s *callevent.Summary) {
	_, ok := r.enter(at)
	switch {
	case !ok:
		r.store.discard(r)
		return
	case r.route == "" && r.store.Mode() == Off:
		r.mode = Off
		r.mu.Unlock()
		r.store.discard(r)
		return
	}
	r.ended, r.ender, r.code, r.hasCode, r.reason = true, s.Ender, s.Code, s.HasCode, s.Reason
	if !r.store.blocks.hides("grpc-message") {
		r.detail = s.Detail
	}
	r.messages.cutOff(r)
	r.touch()
	if r.final() {
		r.settle()
	}
	total, reserved := r.charged, r.reserved
	r.mu.Unlock()
	r.store.finish(r, total, reserved)
}

// settle hands a call that has ended, and whose record is as it stays, to who
// writes it to a file and who examines it. r is locked.
func (r *record) settle() {
	r.store.toSession(r)
	r.store.examine(r)
}

// first is the earlier moment, if it has come.
func first(was, now time.Duration) time.Duration {
	if was != 0 {
		return was
	}
	return max(now, 1)
}

func (r *record) keep(to **block, fields []hpack.HeaderField) {
	*to = r.store.blocks.read(fields)
	r.charged += (*to).size
}

// ruled returns what must be done to the messages of the call; nil: nothing.
func (r *record) ruled(now time.Time) *[2]Rule {
	if known := r.request.ruled.Load(); known != nil && known.backend == r.backend && known.path == r.path && now.Before(known.until) && known.settings == r.store.settings.Load() {
		return known.rules
	}
	fresh := &ruled{settings: r.store.settings.Load(), backend: r.backend, path: r.path, until: now.Add(ruleTime)}
	request, response := r.store.opts.Rules(r.backend, r.path)
	if request != (Rule{}) || response != (Rule{}) {
		fresh.rules = &[2]Rule{callevent.Up: request, callevent.Down: response}
	}
	r.request.ruled.Store(fresh)
	return fresh.rules
}

// rule is what must be done to the messages that go one way.
func (r *record) rule(d callevent.Direction) Rule {
	if r.rules == nil {
		return Rule{}
	}
	return r.rules[d]
}

// touch says that the record is not what it was.
func (r *record) touch() {
	r.revision++
	r.stir()
}

// stir has who watches told of the record.
func (r *record) stir() {
	if r.queued || r.mode == Off {
		return
	}
	r.dirty = true
	if r.store.feed.watched.Load() {
		r.queued = r.store.feed.push(r.queue(), r.change != 0)
	}
}

// reset frees r and what it holds. r is locked, and its call has ended.
func (r *record) reset() {
	r.forgotten()
	if session := r.store.session.Load(); session != nil && r.owed && r.process != 0 {
		session.lost.Add(1)
	}
	r.messages.release(r.store.arena)
	r.recorded = recorded{}
}

// known reports whether there is something to see. r is locked.
func (r *record) known() bool { return r.seq != 0 && r.mode != Off }

func (r *record) startTime() time.Time {
	if r.loaded != nil {
		return r.loaded.call.GetStart().AsTime()
	}
	return r.started
}

func (r *record) id() ID {
	if r.loaded != nil {
		return r.loaded.id
	}
	if r.process != 0 {
		return ID{r.process, r.seq}
	}
	return ID{r.store.opts.Generation, r.seq}
}
