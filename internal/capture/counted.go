package capture

// AddCounts adds what another store has counted, in a process that was here
// before. What st says of the moment is left alone.
func (s *Store) AddCounts(st Stats) {
	s.seen.Add(st.Seen)
	s.dropped.calls.Add(st.Dropped)
	s.dropped.bytes.Add(st.NoRoom)
	s.dropped.redactions.Add(st.Unredacted)
	s.dropped.session.Add(st.Session)
	s.feed.missedEver.Add(st.Unshown)
}
