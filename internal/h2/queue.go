package h2

import "sync"

const (
	// chunkSize is the memory that queued bytes are kept in: one frame.
	chunkSize = maxFrameSize
	// smallChunk is enough for the bytes of a stream that waits with little,
	// of which there may be very many.
	smallChunk = 512
)

// chunkPool is shared by all streams: what waits costs memory that is used
// again, and no garbage in proportion to it.
var chunkPool = sync.Pool{
	New: func() any { return &buffer{b: make([]byte, 0, chunkSize)} },
}

// byteQueue is bytes that wait to be sent, first in first out.
type byteQueue struct {
	chunks []*buffer
	n      int // bytes in all of them
}

// add puts a copy of p at the end.
func (q *byteQueue) add(p []byte) {
	q.n += len(p)
	for len(p) > 0 {
		x := q.last(len(p))
		n := min(len(p), cap(x.b)-len(x.b))
		x.b = append(x.b, p[:n]...)
		p = p[n:]
	}
}

// last returns the chunk to append to, for some of n bytes.
func (q *byteQueue) last(n int) *buffer {
	if k := len(q.chunks) - 1; k >= 0 && len(q.chunks[k].b) < cap(q.chunks[k].b) {
		return q.chunks[k]
	}
	var x *buffer
	if len(q.chunks) == 0 && n <= smallChunk {
		x = &buffer{b: make([]byte, 0, smallChunk)}
	} else {
		x = chunkPool.Get().(*buffer)
	}
	q.chunks = append(q.chunks, x)
	return x
}

// front returns the first bytes, as many as lie together.
func (q *byteQueue) front() []byte { return q.chunks[0].b[q.chunks[0].at:] }

// drop takes n of the bytes of front away.
func (q *byteQueue) drop(n int) {
	q.n -= n
	x := q.chunks[0]
	if x.at += n; x.at < len(x.b) {
		return
	}
	freeChunk(x)
	copy(q.chunks, q.chunks[1:])
	k := len(q.chunks) - 1
	q.chunks[k] = nil
	q.chunks = q.chunks[:k]
	if k == 0 {
		q.chunks = nil
	}
}

// clear drops everything.
func (q *byteQueue) clear() {
	for _, x := range q.chunks {
		freeChunk(x)
	}
	*q = byteQueue{}
}

func freeChunk(x *buffer) {
	if cap(x.b) == chunkSize {
		x.b, x.at = x.b[:0], 0
		chunkPool.Put(x)
	}
}

// pieces returns the bytes, as they lie in memory.
func (q *byteQueue) pieces() [][]byte {
	pieces := make([][]byte, 0, len(q.chunks))
	for _, x := range q.chunks {
		pieces = append(pieces, x.b[x.at:])
	}
	return pieces
}
