package h2

import "time"

// Batch collects what one goroutine has to do when it is through with what
// it has at hand: the connections that it wrote to are flushed, once each,
// and the senders of the bytes that left get their credit. A reader has one
// for as long as it lives; others make their own. A Batch belongs to one
// goroutine.
type Batch struct {
	// Now is when the work at hand began.
	Now time.Time

	conns   []*Conn // to flush
	left    []leftBytes
	changed []*Conn // whose owners wait to hear
}

// leftBytes are bytes received on a stream that have left loomd, or never will.
type leftBytes struct {
	from *Stream
	n    int
}

// NewBatch returns an empty batch that begins now.
func NewBatch() *Batch { return &Batch{Now: time.Now()} }

// Flush writes what was queued on the connections of the batch and empties
// it. The caller holds no lock of a connection.
func (b *Batch) Flush() {
	for {
		b.credit()
		switch {
		case len(b.changed) > 0:
			c := pop(&b.changed)
			c.owner.Changed(b, c)
		case len(b.conns) > 0:
			pop(&b.conns).flush(b)
		case len(b.left) == 0:
			return
		}
	}
}

func pop(list *[]*Conn) *Conn {
	n := len(*list) - 1
	c := (*list)[n]
	(*list)[n] = nil
	*list = (*list)[:n]
	return c
}

// credit gives the senders of the bytes that left their credit back.
func (b *Batch) credit() {
	for i := range b.left {
		l := &b.left[i]
		l.from.conn.creditLeft(b, l.from, l.n)
		l.from = nil
	}
	b.left = b.left[:0]
}

func (b *Batch) bytesLeft(from *Stream, n int) {
	if from == nil || n == 0 {
		return
	}
	if k := len(b.left) - 1; k >= 0 && b.left[k].from == from {
		b.left[k].n += n
		return
	}
	b.left = append(b.left, leftBytes{from, n})
}
