package h2

import "sync"

// bufferSize holds four frames of the largest size: what a busy socket gives
// at once, and small enough to stay in the second-level cache.
const bufferSize = 64 << 10

// buffer is memory for one read or one write. Connections hold one only
// while there are bytes in it.
type buffer struct {
	b  []byte
	at int // of the first byte not dealt with
}

// bufferPool is shared by all connections, so that memory follows the bytes
// that are under way and not the connections that are open.
var bufferPool = sync.Pool{
	New: func() any { return &buffer{b: make([]byte, 0, bufferSize)} },
}

func getBuffer() *buffer { return bufferPool.Get().(*buffer) }

// putBuffer gives a buffer back. One of another size is left to the collector.
func putBuffer(x *buffer) {
	if cap(x.b) != bufferSize {
		return
	}
	x.b, x.at = x.b[:0], 0
	bufferPool.Put(x)
}
