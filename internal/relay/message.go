package relay

import "encoding/binary"

// prefixLen is how long the prefix of a message is: a flag and its size.
const prefixLen = 5

// messageSize reads the size of the message that p begins with.
func messageSize(p []byte) int { return int(binary.BigEndian.Uint32(p[1:prefixLen])) }

// messageScanner finds the boundaries of the length-prefixed messages in the
// bytes of one direction of a call as they pass (gRPC over HTTP/2,
// "Length-Prefixed-Message"). The zero value is at a boundary.
type messageScanner struct {
	prefix [prefixLen]byte
	have   int    // bytes of prefix that have come
	left   uint32 // bytes of the message that have not
}

// scan calls done with the size of each message that p completes.
func (m *messageScanner) scan(p []byte, done func(size int)) {
	for len(p) > 0 {
		if m.have < len(m.prefix) {
			n := copy(m.prefix[m.have:], p)
			m.have += n
			p = p[n:]
			if m.have < len(m.prefix) {
				return
			}
			m.left = uint32(messageSize(m.prefix[:]))
		}
		n := min(uint64(m.left), uint64(len(p)))
		m.left -= uint32(n)
		p = p[n:]
		if m.left > 0 {
			return
		}
		m.have = 0
		done(messageSize(m.prefix[:]))
	}
}
