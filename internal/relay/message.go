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
	have   uint8  // bytes of prefix that have come
	left   uint32 // bytes of the message that have not
}

// piece is a part of a message that came in one go.
type piece struct {
	data        []byte // without the prefix
	first, last bool
}

// next takes the next piece off p. It reports false if there is nothing but a
// part of a prefix.
func (m *messageScanner) next(p []byte) (pc piece, rest []byte, ok bool) {
	if m.have < prefixLen {
		n := copy(m.prefix[m.have:], p)
		m.have += uint8(n)
		p = p[n:]
		if m.have < prefixLen {
			return piece{}, p, false
		}
		m.left = m.size()
		pc.first = true
	}
	n := min(uint64(m.left), uint64(len(p)))
	m.left -= uint32(n)
	pc.data, pc.last = p[:n], m.left == 0
	if pc.last {
		m.have = 0
	}
	return pc, p[n:], true
}

// size is that of the message under way.
func (m *messageScanner) size() uint32 { return binary.BigEndian.Uint32(m.prefix[1:]) }

// compressed reports whether the message under way is (gRPC over HTTP/2,
// "Compressed-Flag").
func (m *messageScanner) compressed() bool { return m.prefix[0]&1 != 0 }
