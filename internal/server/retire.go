package server

import (
	"slices"
	"sync"

	"loom/internal/backend"
	"loom/internal/h2"
	"loom/internal/relay"
)

// retiredMost is how many backends may be out of use while calls that began
// before know them. Each has an old configuration's worth of memory, and
// somebody who edits all day while a stream lasts does not come near. From the
// one that is out of use longest calls then get no further attempts: those that
// are open go on.
const retiredMost = 64

// retirement is the backends that are out of use and not closed yet.
type retirement struct {
	running sync.WaitGroup
	over    chan struct{} // closed once no call is open any more

	mu sync.Mutex
	// Guarded by mu.
	backends []*backend.Backend // the oldest first
}

// retire ends what next has no use for, as soon as no call knows it: those
// tables whose place others took are before.
func (s *Server) retire(b *h2.Batch, was, next *inForce, before *relay.Tables) {
	for name, k := range was.backends {
		guard := was.breakers[name]
		if guard != nil && guard == next.breakers[name] {
			guard = nil
		}
		goes := next.backends[name] != k
		if !goes && guard == nil {
			continue
		}
		quiet := s.relay.Quiet(was.since[name], before)
		if goes {
			k.Retire(b)
			s.retired.add(b, k, s.counters)
		}
		s.retired.running.Go(func() {
			select {
			case <-quiet:
			case <-s.retired.over:
			}
			if goes {
				k.Close()
				s.retired.remove(k)
			}
			if guard != nil {
				guard.Stop()
			}
		})
	}
}

func (r *retirement) add(b *h2.Batch, k *backend.Backend, counters *Counters) {
	r.mu.Lock()
	r.backends = append(r.backends, k)
	var oldest *backend.Backend
	if len(r.backends) > retiredMost {
		oldest = r.backends[0]
		r.backends = r.backends[1:]
	}
	r.mu.Unlock()
	if oldest != nil {
		counters.RetiredEarly.Add(1)
		oldest.Drain(b)
	}
}

func (r *retirement) remove(k *backend.Backend) {
	r.mu.Lock()
	r.backends = slices.DeleteFunc(r.backends, func(other *backend.Backend) bool { return other == k })
	r.mu.Unlock()
}

// end closes all of them. No call is open any more.
func (r *retirement) end() {
	close(r.over)
	r.running.Wait()
}
