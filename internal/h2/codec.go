package h2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// A connection that is written down: what it is, which form it has, the form,
// and a checksum of all of it.
const (
	frozenMagic   = "loom.h2\n"
	frozenVersion = 1
	sumLen        = 4
	// maxFrozen bounds what is written and read: a connection that holds more
	// than this many bytes is better left where it is, until it has drained.
	maxFrozen = 64 << 20
)

// codec writes plain data down, or reads it back: a record says once which
// parts it has, and the two cannot differ. What is written is the only way to
// write it, so that what is read and written again is the same to the byte.
type codec struct {
	b       []byte // written so far, or still to be read
	reading bool
	err     error // the first; what is read afterwards is zero
}

func (x *codec) fail(what string) {
	if x.err == nil {
		x.err = errors.New(what)
	}
	x.b = nil
}

// number is an integer from least to most.
func number[T ~uint8 | ~uint32 | ~uint64 | ~int | ~int64](x *codec, v *T, least, most int64) {
	if x.reading {
		*v = T(x.readInt(least, most))
		return
	}
	n := int64(*v)
	if n < least || n > most {
		x.fail(fmt.Sprintf("a number is %d, which is not from %d to %d", *v, least, most))
		return
	}
	x.b = binary.AppendUvarint(x.b, uint64(n-least))
}

func (x *codec) readInt(least, most int64) int64 {
	v, n := binary.Uvarint(x.b)
	switch {
	case x.err != nil:
	case n <= 0:
		x.fail("it ends inside a number")
	case n > 1 && x.b[n-1] == 0:
		x.fail("a number is longer than it need be")
	case v > uint64(most-least):
		x.fail(fmt.Sprintf("a number is %d too high for its place", v-uint64(most-least)))
	default:
		x.b = x.b[n:]
		return least + int64(v)
	}
	return max(0, least)
}

func flag(x *codec, v *bool) {
	n := 0
	if *v {
		n = 1
	}
	number(x, &n, 0, 1)
	*v = n == 1
}

// tokens is what is in a bucket.
func tokens(x *codec, v *float64) {
	const most = 1 << 40
	bits := math.Float64bits(*v)
	switch {
	case !x.reading:
		x.b = binary.BigEndian.AppendUint64(x.b, bits)
	case len(x.b) < 8:
		x.fail("it ends inside a number")
	default:
		bits = binary.BigEndian.Uint64(x.b)
		x.b = x.b[8:]
		*v = math.Float64frombits(bits)
	}
	if !(*v >= 0 && *v <= most) { // NaN neither
		x.fail("a bucket holds less than nothing, or too much")
		*v = 0
	}
}

// text is bytes with their length before them. What is read lies in the
// memory that it is read from.
func text(x *codec, v *[]byte, most int64) {
	n := len(*v)
	number(x, &n, 0, most)
	switch {
	case !x.reading:
		x.b = append(x.b, *v...)
	case n > len(x.b):
		x.fail("it ends inside a text")
		*v = nil
	default:
		*v, x.b = x.b[:n:n], x.b[n:]
	}
}

func word(x *codec, v *string, most int64) {
	b := []byte(*v)
	text(x, &b, most)
	*v = string(b)
}

// list is a number of items, and the items. Memory for them is taken as they
// are read: no more than in proportion to what there is to read.
func list[T any](x *codec, v *[]T, most int64, each func(*codec, *T)) {
	n := len(*v)
	number(x, &n, 0, most)
	if !x.reading {
		for i := range *v {
			each(x, &(*v)[i])
		}
		return
	}
	*v = nil
	for range n {
		var item T
		if each(x, &item); x.err != nil {
			return
		}
		*v = append(*v, item)
	}
}

// seal returns the written form of a record.
func seal(r *connRecord) ([]byte, error) {
	x := &codec{b: append(make([]byte, 0, 1024+len(r.out)), frozenMagic...)}
	version := uint32(frozenVersion)
	number(x, &version, 0, math.MaxUint16)
	r.code(x)
	if x.err == nil && len(x.b)+sumLen > maxFrozen {
		x.fail(fmt.Sprintf("it holds more than %d bytes", maxFrozen))
	}
	if x.err != nil {
		return nil, fmt.Errorf("write the connection down: %w", x.err)
	}
	return binary.BigEndian.AppendUint32(x.b, sum(x.b)), nil
}

// unseal reads a record back, whole or not at all.
func unseal(p []byte) (*connRecord, error) {
	refused := func(why string) (*connRecord, error) {
		return nil, errors.New("not a connection that can be read: " + why)
	}
	body := len(p) - sumLen
	switch {
	case len(p) > maxFrozen:
		return refused("it is too large")
	case body < len(frozenMagic) || string(p[:len(frozenMagic)]) != frozenMagic:
		return refused("it is something else")
	case binary.BigEndian.Uint32(p[body:]) != sum(p[:body]):
		return refused("its checksum is wrong")
	}
	x := &codec{b: p[len(frozenMagic):body], reading: true}
	var version uint32
	if number(x, &version, 0, math.MaxUint16); version != frozenVersion {
		return refused(fmt.Sprintf("its form is %d, and this program knows %d", version, frozenVersion))
	}
	r := new(connRecord)
	if r.code(x); x.err == nil && len(x.b) > 0 {
		x.fail("something follows its end")
	}
	if x.err == nil {
		x.err = r.check()
	}
	if x.err != nil {
		return refused(x.err.Error())
	}
	return r, nil
}

func sum(p []byte) uint32 { return crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)) }
