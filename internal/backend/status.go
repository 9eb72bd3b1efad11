package backend

// Status is a backend at one moment.
type Status struct {
	Endpoints []EndpointStatus // in the order of the targets
	Waiting   int              // calls that wait for a connection
	Problem   string           // why it has no endpoint; empty if it has one
}

// EndpointStatus is one address of a backend.
type EndpointStatus struct {
	Address     string
	Connections int
	InFlight    int    // attempts that have not ended
	Good, Bad   uint64 // attempts that ended so
	Open        int    // calls
	Resting     bool   // the last connection failed, and it is too early for the next
}

// Status returns what the backend is doing.
func (k *Backend) Status() Status {
	var st Status
	for _, e := range *k.list.Load() {
		st.Endpoints = append(st.Endpoints, e.status())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	st.Waiting = len(k.places)
	if err := k.unresolved(); err != nil && len(st.Endpoints) == 0 {
		st.Problem = err.Error()
	}
	return st
}

func (e *Endpoint) status() EndpointStatus {
	conns := *e.conns.Load()
	st := EndpointStatus{Address: e.name, Connections: len(conns), InFlight: int(e.inFlight.Load()), Good: e.good.Load(), Bad: e.bad.Load()}
	for _, c := range conns {
		st.Open += c.Streams()
	}
	e.mu.Lock()
	st.Resting = e.resting > 0
	e.mu.Unlock()
	return st
}
