package backend

// enter counts a call as one of the backend's, until leave. It reports false
// when there are Options.Concurrent already: those that wait count, too, so
// that none of them finds its place taken.
func (k *Backend) enter() bool {
	// They are counted with any number, too: there may be another bound before
	// they leave.
	if n, most := k.calls.Add(1), int64(k.options().Concurrent); most == 0 || n <= most {
		return true
	}
	k.calls.Add(-1)
	return false
}

func (k *Backend) leave() { k.calls.Add(-1) }
