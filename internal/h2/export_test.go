package h2

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
