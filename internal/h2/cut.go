package h2

// DrainNow is Drain without the grace between its two steps: streams that the
// peer opens from now on are not served, those that are open go on.
func (c *Conn) DrainNow(b *Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drainLocked(b)
	if c.draining == drainNotice && !c.dead {
		c.drainOn(b)
	}
}

// Receivers returns those of the streams that are open, for whoever has to end
// all of them.
func (c *Conn) Receivers() []Receiver {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]Receiver, 0, len(c.streams))
	for _, s := range c.streams {
		all = append(all, s.recv)
	}
	return all
}
