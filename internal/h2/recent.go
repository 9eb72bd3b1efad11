package h2

// recentCap is how many ended streams a connection remembers: about as many
// as can have frames under way when they end.
const recentCap = 512

// recentIDs remembers the streams that ended last, so that a frame for one
// that we reset can be told from a fault of the peer.
type recentIDs struct {
	ring []recentID
	next int
}

type recentID struct {
	id    uint32
	reset bool // by a RST_STREAM of ours
}

func (r *recentIDs) add(id uint32, reset bool) {
	if len(r.ring) < recentCap {
		r.ring = append(r.ring, recentID{id, reset})
		return
	}
	r.ring[r.next] = recentID{id, reset}
	r.next = (r.next + 1) % recentCap
}

// find reports whether stream id ended lately, and whether by a reset of ours.
func (r *recentIDs) find(id uint32) (reset, ok bool) {
	for i := range r.ring {
		if r.ring[i].id == id {
			return r.ring[i].reset, true
		}
	}
	return false, false
}

// list returns them in the order in which they ended.
func (r *recentIDs) list() []recentID {
	return append(append([]recentID(nil), r.ring[r.next:]...), r.ring[:r.next]...)
}
