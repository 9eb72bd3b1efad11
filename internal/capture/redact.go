package capture

import "loom/internal/callevent"

const (
	// redactAtOnce is how large a message may be to be redacted on the
	// goroutine of its call: that takes a few microseconds.
	redactAtOnce = 4 << 10
	// redactQueue is how many larger ones may wait for it. What comes beyond
	// that is not stored.
	redactQueue = 256
)

// redaction is a message whose bytes are not to be shown as they are.
type redaction struct {
	record    *record
	seq       uint64
	direction callevent.Direction
	sequence  uint64
}

// redact takes out of a whole message what must not be stored, at once or
// soon. r is locked.
func (r *record) redact(msg *message) {
	if msg.truncated {
		r.withhold(msg, withheldLong)
		return
	}
	if !msg.compressed && msg.size <= redactAtOnce {
		out, changed, err := r.rule(msg.direction).Body.Apply("", false, r.bytes(msg))
		r.redacted(msg, out, changed, err)
		return
	}
	select {
	case r.store.redactions <- redaction{r, r.seq, msg.direction, msg.sequence}:
		r.pending++
	default:
		r.withhold(msg, withheldBusy)
		r.store.dropped.redactions.Add(1)
	}
}

// withhold forgets the bytes of a message.
func (r *record) withhold(msg *message, why string) {
	if !msg.inline {
		r.store.arena.release(&msg.chain)
	}
	msg.chain.size, msg.withheld = 0, why
}

// redacted puts in what is left of a message. r is locked.
func (r *record) redacted(msg *message, out []byte, changed bool, err error) {
	switch {
	case err != nil:
		r.withhold(msg, "what must not be stored could not be taken out of it: "+text(err.Error()))
	case changed:
		r.withhold(msg, "")
		msg.redacted, msg.compressed = true, false
		r.replace(msg, out)
	default:
		msg.withheld = ""
	}
}

// replace stores other bytes for a message that has none now. r is locked.
func (r *record) replace(msg *message, p []byte) {
	if len(p) > r.store.settings.Load().MessageBytes {
		p, msg.truncated = p[:r.store.settings.Load().MessageBytes], true
	}
	if msg.inline && len(p) <= int(msg.size) {
		msg.chain.size = uint32(copy(r.inline[msg.chain.head:], p))
		return
	}
	msg.inline, msg.chain = false, chain{}
	write := r.store.write
	if r.ended {
		write = r.store.arena.write // its holder must not take Store.mu
	}
	if write(&msg.chain, p) < len(p) {
		msg.truncated, r.noRoom = true, true
		r.store.dropped.bytes.Add(1)
	}
}

// redactLarge redacts what calls have no time for, until the store is closed.
func (s *Store) redactLarge() {
	for {
		select {
		case q := <-s.redactions:
			s.redactOne(q)
		case <-s.closed:
			return
		}
	}
}

func (s *Store) redactOne(q redaction) {
	r := q.record
	r.mu.Lock()
	msg := r.find(q)
	if msg == nil {
		r.redactionDone(q)
		r.mu.Unlock()
		return
	}
	data := r.bytes(msg)
	compressed, body, encoding := msg.compressed, r.rule(q.direction).Body, r.encoding(q.direction)
	r.mu.Unlock()
	out, changed, err := body.Apply(encoding, compressed, data)
	r.mu.Lock()
	defer r.mu.Unlock()
	if msg := r.find(q); msg != nil {
		r.redacted(msg, out, changed, err)
		r.touch()
	}
	r.redactionDone(q)
}

// redactionDone hands a call that has ended to the session file once none of
// its messages is withheld for the moment only. r is locked.
func (r *record) redactionDone(q redaction) {
	if r.seq != q.seq || r.pending == 0 {
		return
	}
	if r.pending--; r.pending == 0 && r.ended {
		r.settle()
	}
}

// find returns the message, if it is still there. r is locked.
func (r *record) find(q redaction) *message {
	if r.seq != q.seq {
		return nil
	}
	for i := range r.messages.list {
		if m := &r.messages.list[i]; m.direction == q.direction && m.sequence == q.sequence && m.withheld == withheldPending {
			return m
		}
	}
	return nil
}

// encoding is how compressed messages of a direction are compressed.
func (r *record) encoding(d callevent.Direction) string {
	if d == callevent.Up {
		return r.request.encoding
	}
	return r.response.encoding
}
