package server

import (
	"os"
	"sync"

	"go.uber.org/zap"

	"loom/internal/config"
	"loom/internal/systemd"
)

// activation hands out the sockets that systemd made for this process. The
// first process of a unit gets them; those that follow inherit them with all
// others.
type activation struct {
	// Immutable.
	log *zap.Logger

	mu sync.Mutex
	// Guarded by mu.
	sockets map[string]systemd.Socket // by SocketKey; those that nobody took yet
}

// activate finds for each socket the listener that it is meant for: the one of
// its name, wherever the unit says that it listens, else the one of its
// address.
func activate(cfg *config.Config, sockets []systemd.Socket, log *zap.Logger) *activation {
	a := &activation{log: log, sockets: make(map[string]systemd.Socket)}
	for _, s := range sockets {
		key := SocketKey(s.Addr.Network(), s.Addr.String(), "")
		if l := named(cfg, s.Name); l != nil && l.Address.Network == s.Addr.Network() {
			if own := SocketKey(l.Address.Network, l.Address.Text, l.Name); own != key && l.Address.Network != "unix" {
				log.Warn("the socket of systemd listens elsewhere than loom.yaml says, and is used",
					zap.String("listener", l.Name), zap.Stringer("socket", s.Addr), zap.Stringer("address", l.Address))
				key = own
			}
		}
		if _, twice := a.sockets[key]; twice {
			a.unused(s, "there are two for one listener")
			_ = s.File.Close()
			continue
		}
		a.sockets[key] = s
	}
	return a
}

func named(cfg *config.Config, name string) *config.Listener {
	for i := range cfg.Listeners {
		if cfg.Listeners[i].Name == name {
			return &cfg.Listeners[i]
		}
	}
	return nil
}

// Take returns the socket of that key, once.
func (a *activation) Take(key string) (*os.File, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.sockets[key]
	delete(a.sockets, key)
	return s.File, ok
}

// report says which sockets no listener took. systemd keeps its own descriptors:
// who connects there waits for nothing until the units and loom.yaml agree.
func (a *activation) report() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sockets {
		a.unused(s, "no listener has its name or its address")
	}
}

// close gives up the sockets that no listener took.
func (a *activation) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sockets {
		_ = s.File.Close()
	}
	clear(a.sockets)
}

func (a *activation) unused(s systemd.Socket, why string) {
	a.log.Warn("a socket of systemd is not used: "+why, zap.String("name", s.Name), zap.Stringer("address", s.Addr))
}
