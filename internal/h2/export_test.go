package h2

import "time"

// Record writes down a connection that was thawed and is not served yet.
func (t *Thawed) Record(names map[*Conn]uint32) ([]byte, error) {
	r, err := t.record(names, time.Now())
	if err != nil {
		return nil, err
	}
	return seal(r)
}

// FrozenHead is what a connection that is written down begins with.
const FrozenHead = frozenMagic + "\x01"

// Sealed puts a checksum under what was written by hand.
func Sealed(body []byte) []byte {
	x := append([]byte(nil), body...)
	s := sum(x)
	return append(x, byte(s>>24), byte(s>>16), byte(s>>8), byte(s))
}

// Waiting returns how many streams wait for the connection's window or its
// socket.
func (c *Conn) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ready)
}

// Queued returns the bytes that wait for the socket.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.len()
}
