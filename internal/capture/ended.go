package capture

// endedCall is a call that may be forgotten, and what that frees. The cost is
// noted here so that nobody has to look at the record for it: that lies
// where no cache has it any more.
type endedCall struct {
	record  *record
	charged int64
}

// endedCalls are those that have ended, in the order of their end. The zero
// value is empty.
type endedCalls struct {
	ring  []endedCall // grows as it must; its length is a power of two
	first int         // place of the one that ended first
	count int
}

// push adds the one that ended last.
func (q *endedCalls) push(c endedCall) {
	if q.count == len(q.ring) {
		grown := make([]endedCall, max(2*len(q.ring), slab))
		n := copy(grown, q.ring[q.first:])
		copy(grown[n:], q.ring[:q.first])
		q.ring, q.first = grown, 0
	}
	q.ring[(q.first+q.count)&(len(q.ring)-1)] = c
	q.count++
}

// pop takes out the one that ended first. It reports false if there is none.
func (q *endedCalls) pop() (c endedCall, ok bool) {
	if q.count == 0 {
		return c, false
	}
	c, q.ring[q.first] = q.ring[q.first], endedCall{}
	q.first = (q.first + 1) & (len(q.ring) - 1)
	q.count--
	return c, true
}

// oldest returns the record of the one that ended first; nil if there is none.
func (q *endedCalls) oldest() *record {
	if q.count == 0 {
		return nil
	}
	return q.ring[q.first].record
}

// each yields all, the one that ended first first.
func (q *endedCalls) each(yield func(endedCall) bool) {
	for i := range q.count {
		if !yield(q.ring[(q.first+i)&(len(q.ring)-1)]) {
			return
		}
	}
}
