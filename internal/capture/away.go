package capture

import (
	"fmt"
	"slices"

	"loom/internal/callevent"
)

// ReasonLost is why a call has ended whose process ended, or forgot it, before
// it said how.
const ReasonLost = "PROCESS_LOST"

// away are the calls that are open in other processes: by the process that they
// began in, and their number there.
type away map[uint64]map[uint64]*record

func (a away) add(id ID, r *record) {
	if a[id.Generation] == nil {
		a[id.Generation] = make(map[uint64]*record)
	}
	a[id.Generation][id.Sequence] = r
}

func (a away) remove(id ID) {
	delete(a[id.Generation], id.Sequence)
	if len(a[id.Generation]) == 0 {
		delete(a, id.Generation)
	}
}

// Merge takes in what Changes of another process has written. Calls that are
// not in the list come into it; those that have ended are written to the
// session file, unless that process has done so. It returns the first part of
// the ids of that process, 0 if the bytes are damaged; calls that cannot be
// taken in are left out, and the error says how many were.
func (s *Store) Merge(changes []byte) (process uint64, err error) {
	u, err := s.unpack(changes)
	if err != nil {
		return 0, fmt.Errorf("take in calls of another process: %w", err)
	}
	s.merging.Lock()
	defer s.merging.Unlock()
	s.feed.miss(u.missed)
	var out leftOut
	for _, record := range u.records {
		w, err := u.read(record)
		if err == nil {
			err = s.merge(w)
		}
		out.note(err)
	}
	return u.process, out.error("take in calls of another process", uint64(len(u.records)))
}

func (s *Store) merge(w *written) error {
	id := ID{w.process, w.seq}
	if w.flags&flagSettled != 0 {
		if w.drift {
			s.Flag(id)
		}
		return nil
	}
	s.mu.Lock()
	r := s.away[id.Generation][id.Sequence]
	s.mu.Unlock()
	switch {
	case w.flags&flagLost != 0:
		if r != nil {
			s.endLost(r)
		}
		return nil
	case r == nil:
		return s.admit(w, true)
	}
	r.mu.Lock()
	r.fill(w)
	r.stir()
	s.place(r, true)
	return nil
}

// admit adds a call of another process. If it is news its end is written to the
// session file.
func (s *Store) admit(w *written, news bool) error {
	if w.process == s.opts.Generation {
		return fmt.Errorf("call %s has an id that this process gives itself", ID{w.process, w.seq})
	}
	if w.loaded != nil {
		return s.add(w.loaded, w.drift)
	}
	s.mu.Lock()
	r, forgotten := s.takeLocked()
	s.mu.Unlock()
	s.recycle(forgotten)
	if r == nil {
		s.dropped.calls.Add(1)
		return fmt.Errorf("call %s: %w", ID{w.process, w.seq}, errNoRoom)
	}
	r.mu.Lock()
	r.fill(w)
	if news {
		r.stir()
	}
	s.place(r, news)
	return nil
}

// place notes where a record belongs that was filled: to the calls that are
// open elsewhere, or to those that have ended. r is locked, and unlocked then.
func (s *Store) place(r *record, news bool) {
	id, ended := r.id(), r.ended
	total, reserved := r.charged, r.reserved
	switch {
	case ended && news:
		r.settle()
	case ended:
		s.examine(r)
	}
	r.mu.Unlock()
	s.mu.Lock()
	if ended {
		s.away.remove(id)
	} else {
		s.away.add(id, r)
	}
	s.mu.Unlock()
	if ended {
		s.finish(r, total, reserved)
	}
}

// fill makes r the record that another process has written down. r is locked;
// it is empty, or that of an open call.
func (r *record) fill(w *written) {
	progress := w.flags&flagProgress != 0
	if !progress {
		r.messages.release(r.store.arena)
	}
	dirty, queued, change, reserved, messages := r.dirty, r.queued, r.change, r.reserved, r.messages
	r.recorded = w.recorded
	r.process = w.process
	r.dirty, r.queued, r.change, r.reserved = dirty, queued, change, reserved
	r.charged = recordBytes + reserved
	for _, b := range []*block{r.request, r.response, r.interim, r.trailers} {
		if b != nil {
			r.charged += b.size
		}
	}
	if !progress {
		r.takeMessages(w)
		return
	}
	// Its list may lie in itself: it goes back to where it was.
	counts := r.messages
	r.messages = messages
	r.messages.sequence, r.messages.bytesSeen = counts.sequence, counts.bytesSeen
	r.messages.unrecorded = counts.sequence
	for i := range r.messages.list {
		r.messages.unrecorded[r.messages.list[i].direction]--
	}
}

// takeMessages stores messages that another process has written down, as far
// as there is room. r is locked, and has none.
func (r *record) takeMessages(w *written) {
	m := &r.messages
	m.list = m.backing[:0]
	if n := len(w.list); n > len(m.backing) {
		if more := int64(n)*messageBytes - r.reserved; more > 0 {
			if !r.store.reserve(more) {
				m.unrecorded, r.noRoom = m.sequence, true
				r.store.dropped.bytes.Add(1)
				return
			}
			r.charged += more
			r.reserved += more
		}
		m.list = make([]message, 0, n)
	}
	for i := range w.list {
		m.list = append(m.list, w.list[i])
		r.keepData(&m.list[i], w.data[i])
	}
}

// keepData stores the bytes of a message that was written down. r is locked.
func (r *record) keepData(msg *message, p []byte) {
	if most := r.store.settings.Load().MessageBytes; len(p) > most {
		p, msg.truncated = p[:most], true
	}
	m := &r.messages
	if len(p) <= inlineBytes-int(m.inlineUsed) {
		msg.inline, msg.chain.head = true, uint32(m.inlineUsed)
		msg.chain.size = uint32(copy(r.inline[m.inlineUsed:], p))
		m.inlineUsed += uint16(len(p))
		return
	}
	if r.store.write(&msg.chain, p) < len(p) {
		msg.truncated, r.noRoom = true, true
		r.store.dropped.bytes.Add(1)
	}
}

// Away returns the processes in which calls of the list are open.
func (s *Store) Away() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []uint64
	for process := range s.away {
		all = append(all, process)
	}
	slices.Sort(all)
	return all
}

// EndLost ends the calls that are open in a process which is gone, and returns
// how many there were: nobody will tell how they ended.
func (s *Store) EndLost(process uint64) int {
	s.merging.Lock()
	defer s.merging.Unlock()
	s.mu.Lock()
	lost := make([]*record, 0, len(s.away[process]))
	for _, r := range s.away[process] {
		lost = append(lost, r)
	}
	s.mu.Unlock()
	for _, r := range lost {
		s.endLost(r)
	}
	return len(lost)
}

// endLost ends a call that is open in another process, as nobody will tell how
// it ended.
func (s *Store) endLost(r *record) {
	r.mu.Lock()
	r.ended, r.ender, r.reason = true, callevent.ByLoom, ReasonLost
	for i := range r.messages.list {
		if m := &r.messages.list[i]; !m.whole {
			m.truncated = true
		}
	}
	r.touch()
	s.place(r, true)
}
