package capture

import (
	"errors"
	"maps"
	"math"
	"strings"
)

// Settings are what of the options of a Store may change while it runs. They
// mean what they mean there.
type Settings struct {
	Calls        int
	Bytes        int64
	MessageBytes int
	Mode         Mode
	RouteModes   map[string]Mode
	Redact       []string
}

func (o *Settings) check() error {
	switch {
	case o.Calls < 1 || o.Bytes < 1:
		return errors.New("capture: a ring needs room for one call")
	case o.Bytes/blockSize >= math.MaxUint32 || o.Bytes > math.MaxInt:
		return errors.New("capture: a ring of more than 8 TiB, or than can be addressed")
	}
	return nil
}

// Prepare gets the memory that settings need. It changes nothing that shows.
func (s *Store) Prepare(o Settings) error {
	if err := o.check(); err != nil {
		return err
	}
	return s.arena.grow(o.Bytes)
}

// Apply puts settings in force that Prepare was asked about. What is stored
// stays as it is, but for the calls that ended first and have no room any more.
// The modes are those of the settings again, whatever SetMode said, if they
// differ from those before.
func (s *Store) Apply(o Settings) {
	s.use(&o)
	for {
		s.mu.Lock()
		more := (s.kept > o.Calls || s.held+s.arena.bytes() > o.Bytes) && s.evictLocked()
		s.mu.Unlock() // not for all at once: calls that begin wait for it
		if !more {
			return
		}
	}
}

func (s *Store) use(o *Settings) {
	o.MessageBytes = min(max(o.MessageBytes, 0), maxMessageBytes)
	names := make([]string, 0, len(o.Redact))
	for _, name := range o.Redact {
		names = append(names, strings.ToLower(name))
	}
	s.blocks.redact.Store(&names)
	s.arena.limit(o.Bytes)
	was := s.settings.Swap(o)
	if was == nil || was.Mode != o.Mode || !maps.Equal(was.RouteModes, o.RouteModes) {
		s.mode.Store(uint32(o.Mode))
		s.override.Store(false)
	}
}
