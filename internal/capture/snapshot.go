package capture

import (
	"errors"
	"fmt"
	"slices"
)

// SnapshotVersion is that of what Snapshot and Changes write. One that is
// higher is not understood by those that read a lower one; what is only added
// is passed over by them, and leaves it as it is.
const SnapshotVersion = 1

const (
	// snapshotBytes is how large a snapshot gets: a reload has a second, and
	// it is in memory beside the ring. Beyond it the calls that ended first
	// are left out. The default ring is half of it.
	snapshotBytes = 128 << 20
	// openBytes is how much the messages of an open call may have to be
	// written down while it is open: whoever carries the call waits meanwhile.
	// Those of a larger one follow when it has ended.
	openBytes = 256 << 10
)

// Snapshot writes down the calls of the list for another process, open ones
// included. No call waits for it longer than it takes to copy its own record.
// From then on Changes tells what became of those that began here.
func (s *Store) Snapshot() []byte { return s.snapshot(snapshotBytes) }

// snapshot is Snapshot, of about most bytes.
func (s *Store) snapshot(most int) []byte {
	s.carrying.Lock()
	defer s.carrying.Unlock()
	s.forwarding.Store(true)
	s.unsent.mu.Lock()
	s.unsent.count, s.unsent.over = 0, nil
	s.unsent.mu.Unlock()
	p := newPacker(s.opts.Generation)
	ended, all := s.endedRecords()
	// About what it takes: a bundle that grows is copied again and again.
	p.out = slices.Grow(p.out, int(min(s.arena.bytes()+int64(len(ended))*inlineBytes, int64(most))))
	have := make(map[*record]bool, len(ended))
	for _, r := range ended {
		have[r] = true
	}
	// Open calls first: they must not be among those that find no room.
	for _, r := range all {
		if !have[r] {
			p.save(r)
		}
	}
	for i, r := range slices.Backward(ended) {
		if len(p.out) >= most {
			p.missed += uint64(i + 1)
			break
		}
		p.save(r)
	}
	return p.bundle()
}

// errNotWritten says why calls are not in a snapshot.
var errNotWritten = errors.New("it was not written down, because the newest calls are as much as may cross")

// endedRecords returns the records of calls that have ended, the one that ended
// first first, and all records there are.
func (s *Store) endedRecords() (ended, all []*record) {
	s.mu.Lock()
	n := len(s.all)
	s.mu.Unlock()
	ended = make([]*record, 0, n+slab) // not with the lock held, which calls wait for
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.ended.each {
		ended = append(ended, c.record)
	}
	return ended, s.all
}

// save writes r down, if there is something to see.
func (p *packer) save(r *record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tellable() {
		p.whole(r)
	}
}

// tellable reports whether r may be shown to another process: not before its
// first event, which says whether its call may be recorded. r is locked.
func (r *record) tellable() bool { return r.known() && r.revision > 0 }

// whole writes r down as it is, and notes that. r is locked.
func (p *packer) whole(r *record) {
	r.sent, r.sentEnd = r.revision, r.final()
	p.add(r, !r.final() && r.stored() > openBytes)
}

// final reports whether the call has ended and nothing in the background will
// change its record. r is locked.
func (r *record) final() bool { return r.ended && r.pending == 0 }

// stored is how many bytes of its messages r has. r is locked.
func (r *record) stored() int64 {
	n := int64(0)
	for i := range r.messages.list {
		n += int64(r.messages.list[i].chain.size)
	}
	return n
}

// Restore takes in the calls that another process wrote down with Snapshot. If
// the bytes are damaged none is taken in. A call that cannot be is left out,
// and the error says how many were: what has no room here, because the ring is
// smaller, makes room in the usual way and is no error.
func (s *Store) Restore(snapshot []byte) error {
	u, err := s.unpack(snapshot)
	if err != nil {
		return fmt.Errorf("restore the list of calls: %w", err)
	}
	s.merging.Lock()
	defer s.merging.Unlock()
	var out leftOut
	if u.missed > 0 {
		out = leftOut{count: u.missed, first: errNotWritten}
	}
	for _, record := range slices.Backward(u.records) { // in the order in which they ended
		w, err := u.read(record)
		if err == nil {
			err = s.admit(w, false)
		}
		out.note(err)
	}
	return out.error("restore the list of calls", u.missed+uint64(len(u.records)))
}

// leftOut is what of a bundle could not be taken in.
type leftOut struct {
	count uint64
	first error
}

func (o *leftOut) note(err error) {
	if err == nil {
		return
	}
	if o.count++; o.first == nil {
		o.first = err
	}
}

func (o *leftOut) error(what string, of uint64) error {
	if o.count == 0 {
		return nil
	}
	return fmt.Errorf("%s: %d of %d are left out; the first: %w", what, o.count, of, o.first)
}
