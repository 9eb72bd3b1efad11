package capture

import (
	"sync"
	"sync/atomic"
	"time"

	"loom/internal/callevent"
)

// Store keeps the newest calls. It is safe for concurrent use.
type Store struct {
	// Immutable.
	opts       Options // Settings has those that may change
	arena      *arena
	blocks     blocks
	feed       *feed
	redactions chan redaction // records send, redactLarge receives
	closed     chan struct{}  // Close closes it
	running    sync.WaitGroup

	carrying   sync.Mutex // held by who writes records down; comes before every other lock
	merging    sync.Mutex // held by who takes in records; the same
	forwarding atomic.Bool
	unsent     unsent
	uncertain  atomic.Bool // see Uncertain

	settings atomic.Pointer[Settings]
	mode     atomic.Uint32 // a Mode
	override atomic.Bool   // mode was set at run time: it holds for every route
	session  atomic.Pointer[Session]
	seen     atomic.Uint64
	replayed atomic.Uint64 // ids that NextID gave
	dropped  struct {
		calls, bytes, redactions atomic.Uint64
		session                  atomic.Uint64 // in processes before
	}
	unexamined unexamined

	// spare is an empty record for the next call. It was emptied a moment ago,
	// so that its memory, which nobody had touched since its call, is at hand.
	spare atomic.Pointer[record]

	mu sync.Mutex
	// Guarded by mu.
	all   []*record // every record there is; only grows, to little more than Settings.Calls
	free  *record
	ended endedCalls
	kept  int   // calls, open ones included
	open  int   // calls that have not ended
	held  int64 // bytes of records, without those of the arena
	away  away  // of the open calls, those that are open in other processes
}

// New returns an empty store. Close gives its memory back.
func New(o Options) (*Store, error) {
	first := Settings{
		Calls: o.Calls, Bytes: o.Bytes, MessageBytes: o.MessageBytes, Mode: o.Mode, RouteModes: o.RouteModes, Redact: o.Redact,
	}
	if err := first.check(); err != nil {
		return nil, err
	}
	a, err := newArena(o.Bytes)
	if err != nil {
		return nil, err
	}
	s := &Store{opts: o, arena: a, redactions: make(chan redaction, redactQueue), closed: make(chan struct{}), away: make(away)}
	s.blocks.none = new(block)
	s.use(&first)
	s.feed = newFeed(s)
	if o.Rules != nil {
		s.running.Go(s.redactLarge)
	}
	return s, nil
}

// Close ends what runs and gives the memory back. Nothing may use the store
// any more, and no call be open.
func (s *Store) Close() error {
	s.feed.close()
	close(s.closed)
	s.running.Wait()
	return s.arena.close()
}

// SetMode changes how much is recorded of the calls that begin from now on,
// whatever their route says.
func (s *Store) SetMode(m Mode) {
	s.mode.Store(uint32(m))
	s.override.Store(true)
}

// Mode is how much is recorded of calls whose route says nothing else.
func (s *Store) Mode() Mode { return Mode(s.mode.Load()) }

// Override returns what SetMode has set; false if it was not called.
func (s *Store) Override() (Mode, bool) { return s.Mode(), s.override.Load() }

func (s *Store) modeOf(route string) Mode {
	if !s.override.Load() {
		if m, ok := s.settings.Load().RouteModes[route]; ok {
			return m
		}
	}
	return s.Mode()
}

// follows reports whether any call may have to be recorded.
func (s *Store) follows() bool {
	return s.Mode() != Off || !s.override.Load() && len(s.settings.Load().RouteModes) > 0
}

// Begin records a call that begins, if there is room for it.
func (s *Store) Begin(c callevent.Call) callevent.Follower {
	if !s.follows() {
		return nil
	}
	s.seen.Add(1)
	s.mu.Lock()
	r, forgotten := s.takeLocked()
	next := s.ended.oldest() // will be forgotten for the call that follows
	s.mu.Unlock()
	next.warm()
	if r == nil {
		s.recycle(forgotten)
		s.dropped.calls.Add(1)
		return nil
	}
	r.mu.Lock()
	r.begin(c, s.Mode())
	r.mu.Unlock()
	s.recycle(forgotten)
	return r
}

// takeLocked returns an empty record for a call that begins; nil if open calls
// have taken them all. In a ring that is full the call that ended first makes
// room: its record is forgotten, and recycle has to empty it, which keeps the
// lock from all others no longer than needed.
func (s *Store) takeLocked() (r, forgotten *record) {
	if s.kept >= s.settings.Load().Calls {
		forgotten = s.forgetLocked()
	}
	for s.kept >= s.settings.Load().Calls || s.held+recordBytes+s.arena.bytes() > s.settings.Load().Bytes {
		if !s.evictLocked() {
			return nil, forgotten
		}
	}
	if r = s.spare.Swap(nil); r == nil {
		if s.free == nil {
			s.growLocked()
		}
		r = s.free
		s.free, r.next = r.next, nil
	}
	s.kept++
	s.open++
	s.held += recordBytes
	return r, forgotten
}

// recycle empties the record of a call that is no longer in the list, for the
// next call that begins. r may be nil.
func (s *Store) recycle(r *record) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.reset()
	r.mu.Unlock()
	if s.spare.CompareAndSwap(nil, r) {
		return
	}
	s.mu.Lock()
	r.next, s.free = s.free, r
	s.mu.Unlock()
}

// maxMessageBytes is how much of a message can be kept: what the arena counts
// in 32 bits, also on machines where an int has no more.
const maxMessageBytes = 1 << 30

// slab is how many records are made at a time. Those that are used one after
// the other then lie side by side.
const slab = 64

// growLocked makes more free records.
func (s *Store) growLocked() {
	fresh := make([]record, slab)
	for i := slab - 1; i >= 0; i-- {
		fresh[i].store = s
		fresh[i].next, s.free = s.free, &fresh[i]
	}
	for i := range fresh {
		s.all = append(s.all, &fresh[i])
	}
}

// forgetLocked takes the call that ended first out of the list, and returns its
// record, which has to be emptied; nil if none has ended.
func (s *Store) forgetLocked() *record {
	c, ok := s.ended.pop()
	if !ok {
		return nil
	}
	s.held -= c.charged
	s.kept--
	return c.record
}

// evictLocked forgets the call that ended first. It reports false if none has.
func (s *Store) evictLocked() bool {
	r := s.forgetLocked()
	if r == nil {
		return false
	}
	r.mu.Lock()
	r.reset()
	r.mu.Unlock()
	r.next, s.free = s.free, r
	return true
}

// finish makes a call that has ended one that may be forgotten. total is what
// it costs, reserved is what of it is held for it already, besides
// recordBytes.
func (s *Store) finish(r *record, total, reserved int64) {
	s.mu.Lock()
	s.open--
	s.held += total - reserved - recordBytes
	s.ended.push(endedCall{r, total})
	for s.held+s.arena.bytes() > s.settings.Load().Bytes && s.evictLocked() {
	}
	s.mu.Unlock()
}

// toSession has a call written to the session file, unless it was. r is locked.
func (s *Store) toSession(r *record) {
	if session := s.session.Load(); session != nil && !r.filed {
		r.filed = (r.process == 0 || !s.uncertain.Load()) && session.offer(r.queue())
		r.owed = !r.filed
	}
}

// discard frees the record of a call that was not to be recorded.
func (s *Store) discard(r *record) {
	r.mu.Lock()
	reserved := r.reserved
	r.reset()
	r.mu.Unlock()
	s.mu.Lock()
	s.open--
	s.kept--
	s.held -= recordBytes + reserved
	r.next, s.free = s.free, r
	s.mu.Unlock()
}

// write adds p to c; the calls that ended first make room for it.
func (s *Store) write(c *chain, p []byte) int {
	n := s.arena.write(c, p)
	for n < len(p) {
		s.mu.Lock()
		evicted := s.evictLocked()
		s.mu.Unlock()
		if !evicted {
			return n
		}
		n += s.arena.write(c, p[n:])
	}
	return n
}

// reserve makes room for n bytes outside the arena. It reports false if there
// is none.
func (s *Store) reserve(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.held+n+s.arena.bytes() > s.settings.Load().Bytes {
		if !s.evictLocked() {
			return false
		}
	}
	s.held += n
	return true
}

// Clear forgets the calls that have ended.
func (s *Store) Clear() {
	s.mu.Lock()
	left := s.kept - s.open
	s.mu.Unlock()
	for ; left > 0; left -= slab {
		s.mu.Lock() // not for all at once: calls that begin wait for it
		for range min(left, slab) {
			s.evictLocked()
		}
		s.mu.Unlock()
	}
}

// Stats says what the store has and what it has missed.
type Stats struct {
	Seen       uint64 // calls since the start
	Kept, Open int
	Bytes      int64
	Mode       Mode
	Dropped    uint64    // calls that there was no record for
	NoRoom     uint64    // messages that there was no room for
	Unredacted uint64    // messages left out because redaction was too slow
	Unshown    uint64    // changes that who watches was not told of
	Session    uint64    // calls that did not get into the session file
	Oldest     time.Time // when the oldest call began; zero if there is none
}

// Stats returns the figures of the moment.
func (s *Store) Stats() Stats {
	st := Stats{Seen: s.seen.Load(), Mode: s.Mode(), Dropped: s.dropped.calls.Load(), NoRoom: s.dropped.bytes.Load(),
		Unredacted: s.dropped.redactions.Load(), Unshown: s.feed.missedEver.Load(), Session: s.dropped.session.Load()}
	if session := s.session.Load(); session != nil {
		st.Session += session.Lost()
	}
	s.mu.Lock()
	st.Kept, st.Open, st.Bytes = s.kept, s.open, s.held+s.arena.bytes()
	oldest := s.ended.oldest()
	s.mu.Unlock()
	if oldest != nil {
		oldest.mu.Lock()
		st.Oldest = oldest.startTime()
		oldest.mu.Unlock()
	}
	return st
}
