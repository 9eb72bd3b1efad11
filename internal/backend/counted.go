package backend

// Totals are what a backend has counted since it was made, with what Add added.
type Totals struct {
	Ejections uint64 // of endpoints
	Falls     uint64 // how often an endpoint turned out to be unhealthy
}

// EndpointTotals are what was counted of an endpoint since it came, with what
// AddEndpoint added.
type EndpointTotals struct {
	Good, Bad uint64 // attempts that ended so
	Ejections uint64
}

// Add adds what the backend has counted in a process that was here before.
func (k *Backend) Add(t Totals) {
	k.ejections.Add(t.Ejections)
	k.falls.Add(t.Falls)
}

// AddEndpoint is Add for the endpoint of that name. If it is not there, what
// was counted is kept until it comes.
func (k *Backend) AddEndpoint(name string, t EndpointTotals) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.named(name); e != nil {
		e.add(t)
		return
	}
	known, ok := k.memory[name]
	if !ok {
		known.Name = name
	}
	known.totals.Good += t.Good
	known.totals.Bad += t.Bad
	known.totals.Ejections += t.Ejections
	k.remember(known)
}

// add is AddEndpoint. The lock of the backend is held.
func (e *Endpoint) add(t EndpointTotals) {
	e.good.Add(t.Good)
	e.bad.Add(t.Bad)
	e.ejection.total += t.Ejections
}
