package h2

import (
	"golang.org/x/net/http2/hpack"
)

// Field is a header field as it is on the wire: a lower-case name, a value,
// and whether it must never be indexed (RFC 7541, section 7.1.3).
type Field = hpack.HeaderField

// blockEncoder encodes header blocks. Fields that repeat from call to call
// go into the dynamic table; those that never do (trace ids, timeouts) and
// those that must not (credentials) are written as literals by hand, because
// x/net's encoder would index them.
// Guarded by the mutex of the connection: the order in which blocks are
// encoded is the order in which they are sent.
type blockEncoder struct {
	enc    *hpack.Encoder
	out    []byte
	resize bool // a size update is owed: it must open the next block

	// Blocks made of the same fields (the same memory, which never changes)
	// are the same bytes as long as the dynamic table is.
	cache [blockCacheSize]struct {
		fields []Field
		raw    []byte
	}
	next int
	seen seenOnce[*Field] // the first of each of the blocks encoded last
}

func newBlockEncoder() *blockEncoder {
	e := &blockEncoder{}
	e.enc = hpack.NewEncoder((*blockWriter)(e))
	return e
}

type blockWriter blockEncoder

func (w *blockWriter) Write(p []byte) (int, error) {
	w.out = append(w.out, p...)
	return len(p), nil
}

// setTable follows the peer's SETTINGS_HEADER_TABLE_SIZE. A table larger
// than the first one is not used: its contents would cost memory a connection.
func (e *blockEncoder) setTable(size uint32) {
	e.enc.SetMaxDynamicTableSizeLimit(size)
	e.enc.SetMaxDynamicTableSize(min(size, tableSize))
	e.resize = true
	clear(e.cache[:])
}

// restart makes e an encoder that begins anew on a connection that has a
// table already: its first block empties that.
func (e *blockEncoder) restart(size uint32) {
	e.setTable(0)
	e.setTable(size)
}

// known returns the block of fields if it was encoded before and still means
// the same; nil if not.
func (e *blockEncoder) known(fields []Field) []byte {
	for i := range e.cache {
		if c := &e.cache[i]; len(c.fields) == len(fields) && len(fields) > 0 && &c.fields[0] == &fields[0] {
			return c.raw
		}
	}
	return nil
}

// encodedBound is at least the length of the block of fields.
func encodedBound(fields []Field) int {
	n := 3 * hpackIntMax // size updates
	for i := range fields {
		n += len(fields[i].Name) + len(fields[i].Value) + 3*hpackIntMax
	}
	return n + n/maxFrameSize*frameHeaderLen // CONTINUATION
}

// hpackIntMax is the most bytes that an integer of a block takes here.
const hpackIntMax = 6

// append appends the block of fields to dst.
func (e *blockEncoder) append(dst []byte, fields []Field) []byte {
	if len(fields) == 0 {
		return dst
	}
	at := len(dst)
	dst = e.encode(dst, fields)
	switch raw := dst[at:]; {
	case !tableNeutral(raw):
		clear(e.cache[:])
	case len(raw) <= cachedBlockBytes && e.seen.again(&fields[0]):
		e.cache[e.next].fields = fields
		e.cache[e.next].raw = append([]byte(nil), raw...)
		e.next = (e.next + 1) % blockCacheSize
	}
	return dst
}

func (e *blockEncoder) encode(dst []byte, fields []Field) []byte {
	e.out = dst
	if e.resize {
		// Only the library can write the size update that it owes, and does so
		// before a field: one that is a single byte, which is taken back.
		_ = e.enc.WriteField(Field{Name: ":method", Value: "GET"})
		e.out, e.resize = e.out[:len(e.out)-1], false
	}
	for i := range fields {
		f := &fields[i]
		switch {
		case f.Sensitive || credential(f.Name):
			e.literal(0x10, f)
		case repeats(f):
			// The writer above never fails.
			_ = e.enc.WriteField(*f)
		default:
			e.literal(0x00, f)
		}
	}
	dst, e.out = e.out, nil
	return dst
}

// literal appends f as a literal with a new name: not indexed (kind 0x00) or
// never to be (0x10) (RFC 7541, sections 6.2.2 and 6.2.3).
func (e *blockEncoder) literal(kind byte, f *Field) {
	e.out = append(e.out, kind)
	e.out = appendHpackString(e.out, f.Name)
	e.out = appendHpackString(e.out, f.Value)
}

// appendHpackString appends s as a string literal without Huffman coding
// (RFC 7541, section 5.2): it is a few bytes longer and much cheaper.
func appendHpackString(dst []byte, s string) []byte {
	n := uint64(len(s))
	if n < 127 {
		dst = append(dst, byte(n))
		return append(dst, s...)
	}
	dst = append(dst, 127)
	for n -= 127; n >= 128; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	dst = append(dst, byte(n))
	return append(dst, s...)
}

// repeats reports whether a field is likely to come again with this value.
func repeats(f *Field) bool {
	switch f.Name {
	case ":method", ":scheme", ":path", ":authority", ":status",
		"te", "content-type", "user-agent", "server",
		"grpc-encoding", "grpc-accept-encoding", "accept-encoding":
		return len(f.Value) <= 256
	case "grpc-status":
		return true
	case "grpc-message":
		return f.Value == ""
	default:
		return false
	}
}

func credential(name string) bool {
	switch name {
	case "authorization", "cookie", "set-cookie", "proxy-authorization", "x-api-key":
		return true
	default:
		return false
	}
}
