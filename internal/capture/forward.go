package capture

import "sync"

// bundleBytes is after how many bytes Changes ends a bundle: it is read in a
// few milliseconds, and who follows the calls sees them come.
const bundleBytes = 1 << 20

// Changes writes down those calls that began in this process and changed since
// they were written down last, by Snapshot or by Changes: with progress also
// how far open ones are, else only those that began or ended. It returns nil if
// there is nothing to tell; more says that there is more than was written.
func (s *Store) Changes(progress bool) (bundle []byte, more bool) {
	s.carrying.Lock()
	defer s.carrying.Unlock()
	p := newPacker(s.opts.Generation)
	empty := len(p.out)
	s.unsent.mu.Lock()
	p.missed, s.unsent.count = s.unsent.count, 0
	over := s.unsent.over
	s.unsent.over = nil
	s.unsent.mu.Unlock()
	s.dropped.calls.Add(p.missed)
	for _, sequence := range over {
		p.begin(ID{s.opts.Generation, sequence}, flagLost)
		p.end()
	}
	for r := range s.records {
		if r.revision == 0 || r.id().Generation != s.opts.Generation || !r.changed(progress) {
			continue
		}
		if len(p.out) >= bundleBytes {
			more = true
			break
		}
		if r.sentEnd {
			r.sent = r.revision
			p.settled(r)
		} else {
			p.whole(r)
		}
	}
	if bundle = p.bundle(); len(bundle) == empty {
		return nil, false
	}
	return bundle, more
}

// changed reports whether there is something to tell. r is locked.
func (r *record) changed(progress bool) bool {
	if r.final() && !r.sentEnd {
		return true
	}
	return r.sent != r.revision && (progress || r.ended || r.sent == 0)
}

// unsent is the calls that the ring forgot before another process was told of
// them, or of their end.
type unsent struct {
	mu sync.Mutex // a leaf
	// Guarded by mu.
	count uint64
	over  []uint64 // those that are open in the list of the other process
}

// unsentOver is how many calls may wait to be told as over. Others are shown as
// open until this process has ended.
const unsentOver = 4096

// forgotten notes that another process was to hear of r. r is locked.
func (r *record) forgotten() {
	if !r.store.forwarding.Load() || !r.tellable() || r.id().Generation != r.store.opts.Generation || !r.changed(true) {
		return
	}
	u := &r.store.unsent
	u.mu.Lock()
	if u.count++; r.sent != 0 && !r.sentEnd && len(u.over) < unsentOver {
		u.over = append(u.over, r.seq)
	}
	u.mu.Unlock()
}
