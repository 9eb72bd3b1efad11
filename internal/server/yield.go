package server

import (
	"time"

	"loom/internal/breaker"
)

// saveBreaker writes a breaker down for a successor, and leaves it to that one
// to try the backend: two processes would try it with twice the probes.
func saveBreaker(b *breaker.Breaker) func() ([]byte, error) {
	return func() ([]byte, error) {
		b.Pause()
		return b.Snapshot(), nil
	}
}

// resumeBreakers has them try their backends again: there is no successor.
func (s *Server) resumeBreakers() {
	for _, b := range s.now().breakers {
		b.Resume()
	}
}

// yieldBreakers leaves the first try to the successor, and has each breaker go
// on for itself when that one has made it: connections that are still here must
// not be refused for as long as the drain lasts. It returns what ends it.
func (s *Server) yieldBreakers() (end func()) {
	f := s.now()
	var timers []*time.Timer
	for name, b := range f.breakers {
		first := time.Duration(f.cfg.Backend(name).Breaker.HalfOpen.ProbeTimeout)
		st := b.Status()
		timers = append(timers, time.AfterFunc(st.NextProbe+first, b.Resume))
	}
	return func() {
		for _, t := range timers {
			t.Stop()
		}
	}
}
