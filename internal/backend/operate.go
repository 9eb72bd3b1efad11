package backend

import (
	"fmt"
	"time"
)

// DrainEndpoint has an endpoint take no new calls, until UndrainEndpoint;
// those that it has go on. It stays so when the endpoint goes and comes again.
// It fails if there is no endpoint of that name.
func (k *Backend) DrainEndpoint(name string) error { return k.setDrained(name, true) }

// UndrainEndpoint has an endpoint take calls again.
func (k *Backend) UndrainEndpoint(name string) error { return k.setDrained(name, false) }

func (k *Backend) setDrained(name string, drained bool) error {
	k.mu.Lock()
	e := k.named(name)
	if e == nil {
		k.mu.Unlock()
		return fmt.Errorf("backend %q has no endpoint %q", k.name, name)
	}
	changed := e.drained != drained
	if changed {
		e.drained = drained
		k.rotate(time.Now())
		kind := Undrained
		if drained {
			kind = Drained
		}
		k.note(Event{Kind: kind, Endpoint: name})
	}
	k.mu.Unlock()
	if changed {
		k.serveEverybody()
	}
	return nil
}

// named returns the endpoint of that name, or nil. The lock is held.
func (k *Backend) named(name string) *Endpoint {
	for _, e := range *k.list.Load() {
		if e.name == name {
			return e
		}
	}
	return nil
}
