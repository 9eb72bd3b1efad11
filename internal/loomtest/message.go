package loomtest

import "encoding/binary"

// messagePrefix is the length of what gRPC puts before a message: a flag that
// says whether it is compressed, and its length.
const messagePrefix = 5

// Message returns msg as gRPC puts it on the wire, not compressed.
func Message(msg []byte) []byte {
	framed := make([]byte, messagePrefix, messagePrefix+len(msg))
	binary.BigEndian.PutUint32(framed[1:], uint32(len(msg)))
	return append(framed, msg...)
}

// splitMessage takes the first message off wire. It returns false when wire
// does not hold a whole one.
func splitMessage(wire []byte) (msg, rest []byte, ok bool) {
	if len(wire) < messagePrefix {
		return nil, wire, false
	}
	n := int(binary.BigEndian.Uint32(wire[1:]))
	if len(wire)-messagePrefix < n {
		return nil, wire, false
	}
	return wire[messagePrefix : messagePrefix+n], wire[messagePrefix+n:], true
}
