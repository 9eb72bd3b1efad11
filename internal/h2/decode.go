package h2

import (
	"bytes"
	"errors"
	"hash/maphash"
	"math"
	"slices"

	"golang.org/x/net/http2/hpack"
)

// blockCacheSize is how many header blocks a connection remembers in each
// direction. Callers repeat very few: one for each method, and the headers
// and trailers of success.
const blockCacheSize = 4

// cachedBlockBytes is how long a block is worth remembering.
const cachedBlockBytes = 512

// tableSize is how large the peer's dynamic table may be: the
// SETTINGS_HEADER_TABLE_SIZE that every connection starts with. Ours is never
// larger either.
const tableSize = 4096

// blockDecoder decodes the header blocks of one direction of a connection.
// Blocks that come again while the dynamic table stays as it is are not
// decoded again: most calls look like the one before.
// Owned by the reader goroutine.
type blockDecoder struct {
	dec       *hpack.Decoder
	fields    []Field // of the block at hand; used again for the next
	size      int     // of the header list, as RFC 9113, section 6.5.2 counts it
	count     int
	scratch   []byte // the fragment at hand, if it is short
	rest      []byte // beginning of a field, of a block that comes in fragments
	within    bool   // fields of that block are complete
	maxSize   int
	maxFields int

	seed  maphash.Seed
	seen  seenOnce[uint64] // hashes of blocks
	cache [blockCacheSize]struct {
		raw   []byte
		block *headerBlock
	}
	next int
}

func newBlockDecoder(l *Limits) *blockDecoder {
	d := &blockDecoder{maxSize: l.HeaderList, maxFields: l.HeaderFields, seed: maphash.MakeSeed()}
	// The library takes two size updates at the start of a block only if the
	// first one empties the table, though RFC 7541, section 4.2 allows others.
	d.dec = hpack.NewDecoder(tableSize, d.emit)
	// A single string of four times the list's size is a flood by itself.
	d.dec.SetMaxStringLength(4 * l.HeaderList)
	return d
}

func (d *blockDecoder) emit(f Field) {
	d.size += len(f.Name) + len(f.Value) + 32
	d.count++
	if !d.oversize() {
		d.fields = append(d.fields, f)
	}
}

func (d *blockDecoder) oversize() bool { return d.size > d.maxSize || d.count > d.maxFields }

// flood reports whether the list is so large that the connection must end.
func (d *blockDecoder) flood() bool { return d.size > 4*d.maxSize || d.count > 4*d.maxFields }

// begin starts a block.
func (d *blockDecoder) begin() {
	clear(d.fields)
	d.fields = d.fields[:0]
	d.size, d.count = 0, 0
}

// fragment is write for a block that comes in several fragments. What the
// library keeps of a field that is not complete nobody can ask it for, and a
// connection that is written down needs it.
func (d *blockDecoder) fragment(p []byte) error {
	d.rest = append(d.rest, p...)
	if n := wholeFields(d.rest); n > 0 {
		d.within = true
		d.rest = append(d.rest[:0], d.rest[n:]...)
	}
	return d.write(p)
}

// write decodes a fragment of the block.
func (d *blockDecoder) write(p []byte) error {
	// The library holds on to what it was given last: to the reader's buffer,
	// if that were it, for as long as the connection is idle.
	own := d.scratch[:0]
	own = append(own, p...)
	if len(p) <= cachedBlockBytes {
		d.scratch = own
	}
	_, err := d.dec.Write(own)
	switch {
	case errors.Is(err, hpack.ErrStringLength):
		d.size = math.MaxInt // a flood in one string
	case err != nil:
		return connError(CodeCompression, err.Error())
	}
	return nil
}

// end ends a block that came in several fragments.
func (d *blockDecoder) end() (*headerBlock, error) {
	d.rest, d.within = nil, false
	d.forget()
	return d.finish()
}

func (d *blockDecoder) finish() (*headerBlock, error) {
	if err := d.dec.Close(); err != nil {
		return nil, connError(CodeCompression, err.Error())
	}
	return &headerBlock{
		fields:   append([]Field(nil), d.fields...),
		oversize: d.oversize(),
		flood:    d.flood(),
		length:   -1,
	}, nil
}

// whole decodes a block that came in one fragment.
func (d *blockDecoder) whole(p []byte) (*headerBlock, error) {
	for i := range d.cache {
		if c := &d.cache[i]; c.block != nil && bytes.Equal(c.raw, p) {
			return c.block, nil
		}
	}
	d.begin()
	if err := d.write(p); err != nil {
		return nil, err
	}
	if d.flood() {
		return &headerBlock{oversize: true, flood: true}, nil
	}
	h, err := d.finish()
	switch {
	case err != nil:
		return nil, err
	case !tableNeutral(p):
		d.forget()
	case len(p) <= cachedBlockBytes && !h.oversize && d.seen.again(maphash.Bytes(d.seed, p)):
		d.cache[d.next].raw = append([]byte(nil), p...)
		d.cache[d.next].block = h
		d.next = (d.next + 1) % blockCacheSize
	}
	return h, nil
}

// forget empties the cache, because the dynamic table has changed.
func (d *blockDecoder) forget() {
	clear(d.cache[:])
	d.seen = seenOnce[uint64]{}
}

// seenOnce tells what comes a second time from what comes only once, so that
// a cache does not fill with blocks that never come again.
type seenOnce[T comparable] struct {
	last [blockCacheSize]T
	next int
}

// again reports whether v was among the last few, and notes it.
func (s *seenOnce[T]) again(v T) bool {
	if slices.Contains(s.last[:], v) {
		return true
	}
	s.last[s.next] = v
	s.next = (s.next + 1) % len(s.last)
	return false
}
