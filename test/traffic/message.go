// Package traffic is what tests send through loomd to find out whether anything
// is lost, changed or there twice: messages that say where they belong, and who
// follows them.
package traffic

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
)

// Message says where it belongs, and carries a checksum over all of it. On the wire:
//
//	call 8 bytes, sequence 4, total 4, direction 1, payload, CRC-32C 4
//
// So one that lands in another call, comes twice, comes late, goes the wrong
// way or lost a byte is found by whoever receives it.
type Message struct {
	Call      uint64
	Sequence  uint32 // 0 and on, within the call and the direction
	Total     uint32 // how many messages the sender will send
	Direction byte
}

// The directions, as they are on the wire.
const (
	ToBackend   byte = 'u'
	FromBackend byte = 'd'

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

// Encode returns the message with a payload of the size.
func (m Message) Encode(size int) []byte {
	data := make([]byte, headLength, headLength+size+sumLength)
	binary.BigEndian.PutUint64(data, m.Call)
	binary.BigEndian.PutUint32(data[8:], m.Sequence)
	binary.BigEndian.PutUint32(data[12:], m.Total)
	data[16] = m.Direction
	start := (m.Call + uint64(m.Sequence)) % (1 << 16)
	data = append(data, noise[start:start+uint64(size)]...)
	return binary.BigEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

// decode reads a message and checks that all of it is as it was sent.
func decode(data []byte) (Message, error) {
	if len(data) < headLength+sumLength {
		return Message{}, fmt.Errorf("the message has %d bytes, too few", len(data))
	}
	body, sum := data[:len(data)-sumLength], binary.BigEndian.Uint32(data[len(data)-sumLength:])
	if got := crc32.Checksum(body, castagnoli); got != sum {
		return Message{}, fmt.Errorf("the checksum over %d bytes is %08x, not %08x", len(body), got, sum)
	}
	return Message{
		Call:      binary.BigEndian.Uint64(body),
		Sequence:  binary.BigEndian.Uint32(body[8:]),
		Total:     binary.BigEndian.Uint32(body[12:]),
		Direction: body[16],
	}, nil
}

// Follow checks the messages of one direction of one call one after the other.
type Follow struct {
	Call      uint64
	Direction byte
	Next      uint32
	Total     uint32
}

// Take judges the next message that came.
func (f *Follow) Take(data []byte) error {
	m, err := decode(data)
	if err != nil {
		return fmt.Errorf("message %d of call %x: %w", f.Next, f.Call, err)
	}
	if f.Next == 0 {
		f.Total = m.Total
		if f.Call == 0 {
			f.Call = m.Call
		}
	}
	want := Message{Call: f.Call, Sequence: f.Next, Total: f.Total, Direction: f.Direction}
	if m != want {
		return fmt.Errorf("message %d of call %x: got %+v, want %+v", f.Next, f.Call, m, want)
	}
	f.Next++
	return nil
}

// Complete says whether everything that the sender announced has come.
func (f *Follow) Complete() error {
	if f.Next == 0 || f.Next != f.Total {
		return fmt.Errorf("call %x ended well after %d messages of %d", f.Call, f.Next, f.Total)
	}
	return nil
}
