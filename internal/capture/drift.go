package capture

import (
	"sync"

	loomv1 "loom/api/loom/v1"
	"loom/internal/callevent"
)

const (
	// unexaminedCalls is how many calls may wait to be examined. In a busy
	// loomd the newest take the place of the oldest, which nobody waits for.
	unexaminedCalls = 1024
	// examinedBytes is how much may have gone both ways in a call that is
	// examined: to copy and decode more unasked would cost too much.
	examinedBytes = 1 << 20
)

// unexamined is the newest calls that have ended and that NextUnexamined has
// not returned.
type unexamined struct {
	mu sync.Mutex // no other lock is taken under it
	// Guarded by mu.
	calls [unexaminedCalls]queued // a ring
	next  int                     // where the next one goes
	count int
}

func (u *unexamined) push(q queued) {
	u.mu.Lock()
	u.calls[u.next] = q
	u.next = (u.next + 1) % unexaminedCalls
	u.count = min(u.count+1, unexaminedCalls)
	u.mu.Unlock()
}

// pop returns the newest.
func (u *unexamined) pop() (q queued, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.count == 0 {
		return q, false
	}
	u.count--
	u.next = (u.next + unexaminedCalls - 1) % unexaminedCalls
	return u.calls[u.next], true
}

// examine has a call looked at whose messages are recorded, unless they are
// too large. r is locked.
func (s *Store) examine(r *record) {
	m := &r.messages
	if len(m.list) > 0 && r.mode == Full && m.bytesSeen[callevent.Up]+m.bytesSeen[callevent.Down] <= examinedBytes {
		s.unexamined.push(r.queue())
	}
}

// NextUnexamined returns the newest call that has ended, was recorded here
// with its messages, and was not returned before. It reports false if there
// is none. Calls of more than 1 MiB are left out, as are those that 1,024
// newer ones waited with.
func (s *Store) NextUnexamined() (*loomv1.Call, bool) {
	for {
		q, ok := s.unexamined.pop()
		if !ok {
			return nil, false
		}
		var c *loomv1.Call
		q.record.mu.Lock()
		if q.holds() && q.record.known() {
			c = q.record.call()
		}
		q.record.mu.Unlock()
		if c != nil {
			return c, true
		}
	}
}

// Flag notes that messages of a call have fields that its descriptors do not
// have: its row says so from now on. It does nothing if the call is gone.
func (s *Store) Flag(id ID) {
	s.records(func(r *record) bool {
		if r.id() != id {
			return true
		}
		if !r.drift {
			r.drift = true
			r.touch()
		}
		return false
	})
}
