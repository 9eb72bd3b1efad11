package hotrestart

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// kind says what a frame is.
type kind uint8

// The numbers are the protocol: one that was used is never used for another.
const (
	kindHello     kind = 1  // old: versions, generation, nonce
	kindWelcome   kind = 2  // new: the version that it chose
	kindListeners kind = 3  // old: keys, with a descriptor for each
	kindLinks     kind = 4  // old: links to older processes, with a descriptor for each
	kindState     kind = 5  // old: a section
	kindComplete  kind = 6  // old: that was all, get ready
	kindAck       kind = 7  // new: has the frame with this number
	kindProgress  kind = 8  // new: is alive, and what it does
	kindPrepared  kind = 9  // new: could accept at once; its plan
	kindStart     kind = 10 // old: accept
	kindServing   kind = 11 // new: accepts
	kindFailed    kind = 12 // new: cannot go on, and why
	kindMessage   kind = 13 // either, once the new process serves
)

func (k kind) String() string {
	names := [...]string{
		kindHello: "HELLO", kindWelcome: "WELCOME", kindListeners: "LISTENERS", kindLinks: "LINKS",
		kindState: "STATE", kindComplete: "COMPLETE", kindAck: "ACK", kindProgress: "PROGRESS",
		kindPrepared: "PREPARED", kindStart: "START", kindServing: "SERVING", kindFailed: "FAILED",
		kindMessage: "MESSAGE",
	}
	if int(k) < len(names) && names[k] != "" {
		return names[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

const (
	magic      = 0x4c6d4852
	headerSize = 28

	// maxFrame is what a frame has at most: several of them fit into the 208
	// KiB of a socket's buffer, so that neither side waits for the other to read.
	maxFrame = 32 << 10
	// maxBody is what a body has at most, in a frame or in a file. A gigabyte
	// of state is beyond anything that crosses within the time for it.
	maxBody = 1 << 30
	// maxDescriptors is how many descriptors a frame carries at most. The kernel
	// allows 253, and counts those that are under way against the sender's
	// RLIMIT_NOFILE.
	maxDescriptors = 64
)

// bodyInFile marks a frame whose body is in the sealed file that comes with it.
const bodyInFile = 1

// frame is one message of the channel. As bytes it is
//
//	magic 4 | version 1 | kind 1 | flags 1 | descriptors 1 | seq 4
//	head length 4 | body length 4 | body CRC 4 | CRC of all this and the head 4
//	head | body, unless it is in a file
//
// in network order. The two checksums are apart so that a damaged body costs a
// section and not the handover.
type frame struct {
	version     uint8
	kind        kind
	flags       uint8
	descriptors uint8
	seq         uint32
	head        []byte // JSON
	bodyLen     uint32
	bodySum     uint32
	body        []byte // nil if it is in a file
}

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

// encode returns the bytes of the frame.
func (f *frame) encode() []byte {
	data := make([]byte, 0, headerSize+len(f.head)+len(f.body))
	data = binary.BigEndian.AppendUint32(data, magic)
	data = append(data, f.version, uint8(f.kind), f.flags, f.descriptors)
	data = binary.BigEndian.AppendUint32(data, f.seq)
	data = binary.BigEndian.AppendUint32(data, uint32(len(f.head)))
	data = binary.BigEndian.AppendUint32(data, f.bodyLen)
	data = binary.BigEndian.AppendUint32(data, f.bodySum)
	data = binary.BigEndian.AppendUint32(data, crc32.Update(checksum(data), castagnoli, f.head))
	data = append(data, f.head...)
	return append(data, f.body...)
}

// decodeFrame reads the bytes of one frame. What it returns points into data.
// A body that is in the frame is not judged here; see incoming.
func decodeFrame(data []byte) (*frame, error) {
	if len(data) < headerSize {
		return nil, fmt.Errorf("a frame of %d bytes is too short", len(data))
	}
	if binary.BigEndian.Uint32(data) != magic {
		return nil, errors.New("not a frame of a hot restart")
	}
	f := &frame{
		version: data[4], kind: kind(data[5]), flags: data[6], descriptors: data[7],
		seq:     binary.BigEndian.Uint32(data[8:]),
		bodyLen: binary.BigEndian.Uint32(data[16:]), bodySum: binary.BigEndian.Uint32(data[20:]),
	}
	headLen := binary.BigEndian.Uint32(data[12:])
	rest := data[headerSize:]
	if uint64(headLen) > uint64(len(rest)) {
		return nil, fmt.Errorf("a frame %s is cut: %d bytes of a head of %d", f.kind, len(rest), headLen)
	}
	f.head = rest[:headLen]
	if sum := crc32.Update(checksum(data[:headerSize-4]), castagnoli, f.head); sum != binary.BigEndian.Uint32(data[headerSize-4:]) {
		return nil, errors.New("a frame is damaged: its checksum is another")
	}
	if f.bodyLen > maxBody {
		return nil, fmt.Errorf("a frame %s has a body of %d bytes, more than %d", f.kind, f.bodyLen, maxBody)
	}
	if f.descriptors > maxDescriptors {
		return nil, fmt.Errorf("a frame %s has %d descriptors, more than %d", f.kind, f.descriptors, maxDescriptors)
	}
	if f.flags&^bodyInFile != 0 {
		return nil, fmt.Errorf("a frame %s has flags %#x, which nobody knows", f.kind, f.flags)
	}
	if f.flags&bodyInFile != 0 {
		if len(rest) != int(headLen) || f.descriptors != 1 {
			return nil, fmt.Errorf("a frame %s has its body in a file and something else as well", f.kind)
		}
		return f, nil
	}
	f.body = rest[headLen:]
	return f, nil
}
