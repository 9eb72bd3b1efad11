package reflectcache

// Stats counts what the cache did, and how often a limit of it was met.
type Stats struct {
	Backends  int    // that were ever asked for
	Services  int    // known now
	Bytes     int    // of their descriptors
	Fetches   uint64 // questions to reflection, files and disk
	Unasked   uint64 // Lookups whose fetch had no place: most are for names that callers invent
	Busy      uint64 // askers refused because too many waited
	Forgotten uint64 // services forgotten because others needed the place
}

// Stats returns the counts since New.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	s := Stats{Bytes: c.bytes}
	c.mu.Unlock()
	view := *c.view.Load()
	s.Backends = len(view)
	for _, shelf := range view {
		s.Services += len(shelf.entries)
	}
	s.Fetches, s.Unasked = c.fetches.Load(), c.unasked.Load()
	s.Busy, s.Forgotten = c.busy.Load(), c.forgotten.Load()
	return s
}
