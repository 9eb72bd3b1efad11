package backend

import "time"

// Event is a change that people should hear of.
type Event struct {
	Kind     EventKind
	Endpoint string        // its name; empty where it is about all of them
	Why      string        // may be empty
	For      time.Duration // of an ejection
}

// EventKind is what changed.
type EventKind uint8

// Kinds of events.
const (
	Ejected   EventKind = iota // an endpoint is left out because calls to it failed
	Returned                   // its time is over
	Unhealthy                  // an endpoint says that it is, or does not answer when asked
	Healthy                    // it is well again
	Drained                    // an operator has had an endpoint take no more calls
	Undrained                  // and again
	Panicked                   // no endpoint is fit, so that all are used
	Calmed                     // some endpoint is fit again
)

// eventsQueued bounds the events that wait to be told. More than a few come
// only when many endpoints change at once, and then the first ones tell enough.
const eventsQueued = 256

// note has Options.Event hear of ev soon. The lock is held.
func (k *Backend) note(ev Event) {
	switch {
	case k.options().Event == nil:
		return
	case len(k.events) == eventsQueued:
		k.options().Counters.EventsDropped.Add(1)
		return
	}
	k.events = append(k.events, ev)
	if !k.telling {
		k.telling = k.start(k.tell)
	}
}

// tell passes on the events, in order, until there are no more.
func (k *Backend) tell() {
	for {
		k.mu.Lock()
		events := k.events
		k.events = nil
		k.telling = len(events) > 0
		k.mu.Unlock()
		if len(events) == 0 {
			return
		}
		for _, ev := range events {
			k.options().Event(ev)
		}
	}
}
