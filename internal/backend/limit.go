package backend

// enter counts a call as one of the backend's, until leave. It reports false
// when there are Options.Concurrent already: those that wait count, too, so
// that none of them finds its place taken.
func (k *Backend) enter() bool {
	if k.opts.Concurrent == 0 {
		return true
	}
	if k.calls.Add(1) > int64(k.opts.Concurrent) {
		k.calls.Add(-1)
		return false
	}
	return true
}

func (k *Backend) leave() {
	if k.opts.Concurrent > 0 {
		k.calls.Add(-1)
	}
}
