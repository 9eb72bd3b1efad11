package capture

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	loomv1 "loom/api/loom/v1"
)

// errNoRoom says that the ring has no room for a call that is added.
var errNoRoom = errors.New("the capture ring has no room for it")

// Add takes in a call that was not recorded here: one of a session file, of a
// saved capture, or a replay past the listeners. Its id stays as it is. c must
// not be changed any more.
func (s *Store) Add(c *loomv1.Call) error {
	id, err := ParseID(c.GetId())
	if err != nil {
		return fmt.Errorf("add a call: %w", err)
	}
	return s.add(&loaded{id, c}, false)
}

// add takes in a call that was not recorded here. drift is as Flag says.
func (s *Store) add(l *loaded, drift bool) error {
	size := Cost(l.call)
	if size > s.settings.Load().Bytes {
		return fmt.Errorf("add call %s: %w", l.id, errNoRoom)
	}
	s.mu.Lock()
	for s.held+s.arena.bytes()+size > s.settings.Load().Bytes && s.evictLocked() {
	}
	r, forgotten := s.takeLocked()
	s.mu.Unlock()
	s.recycle(forgotten)
	if r == nil {
		return fmt.Errorf("add call %s: %w", l.id, errNoRoom)
	}
	r.mu.Lock()
	r.seq, r.loaded, r.ended, r.charged, r.drift = l.id.Sequence, l, true, size, drift
	r.touch()
	r.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	s.held += size - recordBytes
	s.ended.push(endedCall{r, size})
	return nil
}

// Cost is how many bytes of the ring a call takes that Add takes in, about as
// many as of memory: as objects, its parts take more than their bytes.
func Cost(c *loomv1.Call) int64 {
	fields := len(c.GetRequestHeaders()) + len(c.GetResponseHeaders()) + len(c.GetTrailers())
	return recordBytes + int64(proto.Size(c)) + int64(fields)*loadedField + int64(len(c.GetMessages()))*loadedMessage
}

// What a field and a message of such a record take without their bytes.
const (
	loadedField   = 128
	loadedMessage = 256
)

// NextID returns the id of a call that is not relayed, such as a replay past
// the listeners.
func (s *Store) NextID() ID {
	return ID{s.opts.Generation, replayedFrom + s.replayed.Add(1)}
}

// replayedFrom keeps the numbers of calls that were not relayed apart from
// those of the relay, which count up from 1.
const replayedFrom = 1 << 52
