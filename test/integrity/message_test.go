package integrity

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
)

// A message says where it belongs, and carries a checksum over all of it:
//
//	call 8 bytes, sequence 4, total 4, direction 1, payload, CRC-32C 4
//
// So one that lands in another call, comes twice, comes late, goes the wrong
// way or lost a byte is found by whoever receives it.
type message struct {
	call      uint64
	sequence  uint32 // 0 and on, within the call and the direction
	total     uint32 // how many messages the sender will send
	direction byte
}

const (
	toBackend  byte = 'u'
	fromBacked byte = 'd'

	headLength = 17
	sumLength  = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// noise is where payloads come from: each is a stretch of it that begins at a
// place of its own.
var noise = func() []byte {
	source := rand.NewChaCha8([32]byte{'l', 'o', 'o', 'm'})
	block := make([]byte, 1<<20+1<<16)
	_, _ = source.Read(block)
	return block
}()

// encode returns the message with a payload of the size.
func (m message) encode(size int) []byte {
	data := make([]byte, headLength, headLength+size+sumLength)
	binary.BigEndian.PutUint64(data, m.call)
	binary.BigEndian.PutUint32(data[8:], m.sequence)
	binary.BigEndian.PutUint32(data[12:], m.total)
	data[16] = m.direction
	start := (m.call + uint64(m.sequence)) % (1 << 16)
	data = append(data, noise[start:start+uint64(size)]...)
	return binary.BigEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

// decode reads a message and checks that all of it is as it was sent.
func decode(data []byte) (message, error) {
	if len(data) < headLength+sumLength {
		return message{}, fmt.Errorf("the message has %d bytes, too few", len(data))
	}
	body, sum := data[:len(data)-sumLength], binary.BigEndian.Uint32(data[len(data)-sumLength:])
	if got := crc32.Checksum(body, castagnoli); got != sum {
		return message{}, fmt.Errorf("the checksum over %d bytes is %08x, not %08x", len(body), got, sum)
	}
	return message{
		call:      binary.BigEndian.Uint64(body),
		sequence:  binary.BigEndian.Uint32(body[8:]),
		total:     binary.BigEndian.Uint32(body[12:]),
		direction: body[16],
	}, nil
}

// follow checks the messages of one direction of one call one after the other.
type follow struct {
	call      uint64
	direction byte
	next      uint32
	total     uint32
}

// take judges the next message that came.
func (f *follow) take(data []byte) error {
	m, err := decode(data)
	if err != nil {
		return fmt.Errorf("message %d of call %x: %w", f.next, f.call, err)
	}
	if f.next == 0 {
		f.total = m.total
		if f.call == 0 {
			f.call = m.call
		}
	}
	want := message{call: f.call, sequence: f.next, total: f.total, direction: f.direction}
	if m != want {
		return fmt.Errorf("message %d of call %x: got %+v, want %+v", f.next, f.call, m, want)
	}
	f.next++
	return nil
}

// complete says whether everything that the sender announced has come.
func (f *follow) complete() error {
	if f.next == 0 || f.next != f.total {
		return fmt.Errorf("call %x ended well after %d messages of %d", f.call, f.next, f.total)
	}
	return nil
}
