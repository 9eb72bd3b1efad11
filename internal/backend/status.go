package backend

import (
	"time"
)

// Status is a backend at one moment.
type Status struct {
	Endpoints []EndpointStatus // in the order of the targets
	Waiting   int              // calls that wait for a connection
	Panic     bool             // no endpoint is fit, so that all that are not drained are used
	Stale     []Stale          // names whose last good answer is used although a later one was bad
	Problem   string           // why it has no endpoint; empty if it has one
	LeftOut   int              // addresses that are not used, because there are too many
	InFlight  int              // attempts that have not ended
	Ejections uint64           // ever
	Falls     uint64           // how often an endpoint turned out to be unhealthy
}

// Stale is a target whose name could not be resolved again.
type Stale struct {
	Target string
	Since  time.Time // of the first bad answer
	Why    string    // the last one
}

// State is what an endpoint is doing, in a word or two.
type State string

// States of an endpoint. The first that applies is shown.
const (
	StateDraining   State = "draining"    // by an operator, and calls go on
	StateDrained    State = "drained"     // by an operator
	StateUnhealthy  State = "unhealthy"   // see HealthError
	StateEjected    State = "ejected"     // for EjectedFor
	StateReady      State = "ready"       // there is a connection
	StateConnecting State = "connecting"  // one is on its way
	StateBackingOff State = "backing off" // it is too early for the next one; see Error
	StateIdle       State = "idle"        // no call has needed one
)

// States returns all states that an endpoint may have.
func States() []State {
	return []State{
		StateDraining, StateDrained, StateUnhealthy, StateEjected, StateReady, StateConnecting, StateBackingOff, StateIdle,
	}
}

// EndpointStatus is one address of a backend.
type EndpointStatus struct {
	Address     string
	Weight      int
	State       State
	Drained     bool
	EjectedFor  time.Duration // how long it is still left out
	Ejections   uint64        // ever
	Health      Health
	HealthError string // why it is unhealthy
	Error       string // of the connection that failed last, if there is none
	Connections int
	InFlight    int     // attempts that have not ended
	Good, Bad   uint64  // attempts that ended so
	Warmth      float64 // the part of its share of the calls that it takes, up to 1
}

// Status returns what the backend is doing.
func (k *Backend) Status() Status {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	st := Status{
		Waiting: len(k.places), Panic: k.rotation.Load().panics, Ejections: k.ejections.Load(), Falls: k.falls.Load(),
		LeftOut: k.leftOut,
	}
	for _, e := range *k.list.Load() {
		es := e.status(k.age(now))
		st.InFlight += es.InFlight
		st.Endpoints = append(st.Endpoints, es)
	}
	for _, t := range k.targets {
		if t.err != nil && len(t.addresses) > 0 {
			st.Stale = append(st.Stale, Stale{Target: t.uri, Since: t.staleSince, Why: t.err.Error()})
		}
	}
	if err := k.unresolved(); err != nil && len(st.Endpoints) == 0 {
		st.Problem = err.Error()
	}
	return st
}

// status is that of an endpoint. The lock of the backend is held.
func (e *Endpoint) status(age time.Duration) EndpointStatus {
	st := EndpointStatus{
		Address:     e.name,
		Weight:      int(e.weight.Load()),
		Drained:     e.drained,
		EjectedFor:  max(0, e.ejection.until-age),
		Ejections:   e.ejection.total,
		Connections: len(*e.conns.Load()),
		InFlight:    int(e.inFlight.Load()),
		Good:        e.good.Load(),
		Bad:         e.bad.Load(),
		Warmth:      min(1, e.warmth(age)),
		Health:      e.health.is,
		HealthError: e.health.why,
	}
	st.State = e.state(&st)
	return st
}

func (e *Endpoint) state(st *EndpointStatus) State {
	switch {
	case e.drained && st.InFlight > 0:
		return StateDraining
	case e.drained:
		return StateDrained
	case e.health.is == HealthBad:
		return StateUnhealthy
	case e.ejection.until > 0:
		return StateEjected
	case st.Connections > 0:
		return StateReady
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lastErr != nil {
		st.Error = e.lastErr.Error()
	}
	switch {
	case e.dialing:
		return StateConnecting
	case e.resting > 0:
		return StateBackingOff
	}
	return StateIdle
}
