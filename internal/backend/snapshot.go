package backend

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// snapshotVersion is raised when an older loomd would misread a snapshot.
const snapshotVersion = 1

// remembered bounds the endpoints that are not there at the moment and of
// which something is known; it is as many as a large service has, replaced a
// few times.
const remembered = 4096

// snapshot is what is known of endpoints, for the next process. It holds no
// times of day: clocks may be set in between.
type snapshot struct {
	Version   int      `json:"version"`
	Endpoints []record `json:"endpoints"`
}

// record is what is known of an endpoint.
type record struct {
	Name      string        `json:"name"`
	Drained   bool          `json:"drained,omitempty"`
	Ejected   time.Duration `json:"ejected,omitempty"`   // for how much longer
	Ejections int           `json:"ejections,omitempty"` // in a row
	Unhealthy string        `json:"unhealthy,omitempty"` // why
}

// empty reports whether k says nothing that a new endpoint would not say.
func (k record) empty() bool { return k == record{Name: k.Name} }

// Snapshot returns what is known of the endpoints: which are drained, ejected
// or unhealthy. It is for Restore, also in another process.
func (k *Backend) Snapshot() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	age := k.age(time.Now())
	s := snapshot{Version: snapshotVersion, Endpoints: []record{}}
	for _, e := range *k.list.Load() {
		if known := e.record(age); !known.empty() {
			s.Endpoints = append(s.Endpoints, known)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.memory)) {
		s.Endpoints = append(s.Endpoints, k.memory[name])
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil // never: it is plain data
	}
	return data
}

// Restore takes what Snapshot knew of the endpoints that are there, and of
// those that come. What the backend's options do not provide for is left out.
// A snapshot that is damaged or of a newer version is refused as a whole.
func (k *Backend) Restore(data []byte) error {
	var s snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("backend %q: read the state of its endpoints: %w", k.name, err)
	}
	if s.Version != snapshotVersion {
		return fmt.Errorf("backend %q: the state of its endpoints has version %d, want %d", k.name, s.Version, snapshotVersion)
	}
	now := time.Now()
	k.mu.Lock()
	for _, known := range s.Endpoints {
		if e := k.named(known.Name); e != nil {
			k.recall(e, known, k.age(now))
		} else {
			k.remember(known)
		}
	}
	k.rotate(now)
	k.mu.Unlock()
	k.serveEverybody()
	return nil
}

// record is what is known of e. The backend's lock is held.
func (e *Endpoint) record(age time.Duration) record {
	return record{
		Name:      e.name,
		Drained:   e.drained,
		Ejected:   max(0, e.ejection.until-age),
		Ejections: e.ejection.row,
		Unhealthy: e.health.why,
	}
}

// recall has e be what is known of it. The lock is held; rotate has to follow.
func (k *Backend) recall(e *Endpoint, known record, age time.Duration) {
	e.drained = known.Drained
	if k.options().Health != nil && known.Unhealthy != "" && e.health.is == HealthUnknown {
		e.health = health{is: HealthBad, why: known.Unhealthy}
	}
	if o := k.options().Outlier; o != nil {
		// Whatever it says, it is no more than this backend would have done.
		e.ejection.row = max(0, min(known.Ejections, int(max(o.MaxEjectFor, o.EjectFor)/o.EjectFor)))
		e.ejection.ended = age
		if d := min(known.Ejected, max(o.MaxEjectFor, o.EjectFor)); d > 0 && e.ejection.until == 0 && k.mayEject() {
			k.leaveOut(e, age, d)
		}
	}
}

// remember keeps what is known of an endpoint that is not there, in case it
// comes. The lock is held.
func (k *Backend) remember(known record) {
	if _, ok := k.memory[known.Name]; !known.empty() && (ok || len(k.memory) < remembered) {
		k.memory[known.Name] = known
	}
}
