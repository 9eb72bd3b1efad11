package capture

import (
	"time"

	"loom/internal/callevent"
)

// inlineBytes is how much of the bytes of its messages a record has room for
// itself: the two messages of a small unary call.
const inlineBytes = 512

// message is one message of a record.
type message struct {
	direction  callevent.Direction
	compressed bool
	whole      bool // its last byte came
	truncated  bool // not all of it is stored
	redacted   bool
	inline     bool // its bytes are in record.inline, from chain.head on
	size       uint32
	chain      chain
	sequence   uint64
	first      time.Duration
	last       time.Duration
	withheld   string // why no bytes are stored, or none are shown yet
}

// prefixBytes is what stands before each message on the wire.
const prefixBytes = 5

// messageBytes is what a message costs without its bytes.
const messageBytes = 96

// messages are those of a record: the first, then the newest.
type messages struct {
	list       []message
	current    [2]uint16 // in list, from 1: the message under way
	oldest     uint16    // in list, of the newest, once all have been used
	inlineUsed uint16
	sequence   [2]uint64 // of the last message that began
	bytesSeen  [2]uint64 // prefixes included
	unrecorded [2]uint64
	backing    [2]message
}

const (
	withheldPending = "its redaction is under way"
	withheldCut     = "it did not come whole, so nothing could be taken out of it"
	withheldLong    = "it is longer than what is kept of a message, so nothing could be taken out of it"
	withheldBusy    = "there was no time to take out what must not be stored"
)

// piece notes a part of a message.
func (m *messages) piece(r *record, p *callevent.Piece, at time.Duration) {
	d := p.Direction
	if p.First {
		m.open(r, p, at)
	}
	m.bytesSeen[d] += uint64(len(p.Data))
	if m.current[d] == 0 {
		return
	}
	msg, rule := &m.list[m.current[d]-1], r.rule(d)
	if r.mode == Full && rule.Withhold == "" {
		m.write(r, msg, p.Data)
	}
	if p.Last {
		msg.last, msg.whole = at, true
		m.current[d] = 0
		if r.mode == Full && rule.Withhold == "" {
			msg.truncated = msg.chain.size < msg.size
		}
		if rule.Body != nil && r.mode == Full {
			r.redact(msg)
		}
	}
}

// open makes room in the list for a message that begins.
func (m *messages) open(r *record, p *callevent.Piece, at time.Duration) {
	d := p.Direction
	m.sequence[d]++
	m.bytesSeen[d] += prefixBytes
	var msg *message
	if len(m.list) < firstMessages+newestMessages {
		if !m.grow(r) {
			m.unrecorded[d]++
			m.current[d], r.noRoom = 0, true
			r.store.dropped.bytes.Add(1)
			return
		}
		m.list = append(m.list, message{})
		m.current[d] = uint16(len(m.list))
		msg = &m.list[len(m.list)-1]
	} else {
		i := firstMessages + m.oldest
		m.oldest = (m.oldest + 1) % newestMessages
		msg = &m.list[i]
		m.drop(r, msg, i+1)
		m.current[d] = i + 1
	}
	rule := r.rule(d)
	*msg = message{direction: d, compressed: p.Compressed, size: p.Size, sequence: m.sequence[d], first: at, last: at,
		withheld: rule.Withhold, truncated: r.mode != Full && p.Size > 0}
	if rule.Body != nil {
		msg.withheld = withheldPending
	}
	if room := inlineBytes - int(m.inlineUsed); int64(p.Size) <= int64(min(room, r.store.settings.Load().MessageBytes)) {
		msg.inline, msg.chain.head = true, uint32(m.inlineUsed)
		m.inlineUsed += uint16(p.Size)
	}
}

// grow makes room for one more message in the list. It reports false if the
// ring has none.
func (m *messages) grow(r *record) bool {
	if m.list == nil {
		m.list = m.backing[:0]
	}
	if len(m.list) < cap(m.list) {
		return true
	}
	room := min(4*cap(m.list), firstMessages+newestMessages)
	more := int64(room)*messageBytes - r.reserved
	if !r.store.reserve(more) {
		return false
	}
	r.charged += more
	r.reserved += more
	m.list = append(make([]message, 0, room), m.list...)
	return true
}

// drop forgets a message whose place is taken.
func (m *messages) drop(r *record, msg *message, place uint16) {
	m.unrecorded[msg.direction]++
	if m.current[msg.direction] == place {
		m.current[msg.direction] = 0 // it was still coming
	}
	if !msg.inline {
		r.store.arena.release(&msg.chain)
	}
}

// write stores bytes of a message, as far as it may have them and there is room.
func (m *messages) write(r *record, msg *message, p []byte) {
	room := min(int64(r.store.settings.Load().MessageBytes), int64(msg.size)) - int64(msg.chain.size)
	if int64(len(p)) > room { // a message is never longer than its prefix says
		p, msg.truncated = p[:max(room, 0)], true
	}
	if msg.inline {
		copy(r.inline[int(msg.chain.head)+int(msg.chain.size):], p)
		msg.chain.size += uint32(len(p))
		return
	}
	if r.store.write(&msg.chain, p) < len(p) {
		msg.truncated, r.noRoom = true, true
		r.store.dropped.bytes.Add(1)
	}
}

// bytes returns a copy of what is stored of a message.
func (r *record) bytes(msg *message) []byte {
	return r.appendTo(make([]byte, 0, msg.chain.size), msg)
}

// appendTo adds them to out.
func (r *record) appendTo(out []byte, msg *message) []byte {
	if msg.inline {
		from := msg.chain.head
		return append(out, r.inline[from:from+msg.chain.size]...)
	}
	return r.store.arena.appendTo(out, &msg.chain)
}

// inOrder yields the messages in the order in which they began.
func (m *messages) inOrder(yield func(*message) bool) {
	first := min(len(m.list), firstMessages)
	for i := range m.list[:first] {
		if !yield(&m.list[i]) {
			return
		}
	}
	newest := m.list[first:]
	for i := range newest {
		if !yield(&newest[(int(m.oldest)+i)%len(newest)]) {
			return
		}
	}
}

// cutOff marks what was still coming when the call ended.
func (m *messages) cutOff(r *record) {
	for d, i := range m.current {
		if i == 0 {
			continue
		}
		msg := &m.list[i-1]
		msg.truncated = true
		if msg.withheld == withheldPending {
			r.withhold(msg, withheldCut)
		}
		m.current[d] = 0
	}
}

// release gives back what the messages hold.
func (m *messages) release(a *arena) {
	for i := range m.list {
		if !m.list[i].inline {
			a.release(&m.list[i].chain)
		}
	}
}
