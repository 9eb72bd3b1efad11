package backend

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// snapshotVersion is raised when an older loomd would misread a snapshot.
const snapshotVersion = 2

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

// record is what is known of an endpoint. What it has counted is not in it, but
// for one that is not there: see [Backend.Add].
type record struct {
	Name      string        `json:"name"`
	Drained   bool          `json:"drained,omitempty"`
	Ejected   time.Duration `json:"ejected,omitempty"`   // for how much longer
	Ejections int           `json:"ejections,omitempty"` // in a row
	Calm      time.Duration `json:"calm,omitempty"`      // since the last of these was over
	Failed    int           `json:"failed,omitempty"`    // attempts in a row
	Health    Health        `json:"health,omitempty"`
	Unhealthy string        `json:"unhealthy,omitempty"` // why
	Checks    int           `json:"checks,omitempty"`    // in a row that say otherwise than Health
	Warming   time.Duration `json:"warming,omitempty"`   // since it joined the others; 0: it takes its full share
	totals    EndpointTotals
}

// empty reports whether k says nothing that a new endpoint would not say.
func (k record) empty() bool { return k == record{Name: k.Name} }

// Snapshot returns what is known of the endpoints: which are drained, ejected
// or unhealthy, and how far others are on the way there. It is for Restore,
// also in another process.
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
		if known := k.memory[name]; !known.forgettable() {
			s.Endpoints = append(s.Endpoints, known)
		}
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil // never: it is plain data
	}
	return data
}

// Restore takes what Snapshot knew of the endpoints that are there, and of
// those that come; it was written age ago, and what it says of times has gone
// on meanwhile. What the backend's options do not provide for is left out. A
// snapshot that is damaged or of another version is refused as a whole.
func (k *Backend) Restore(data []byte, age time.Duration) error {
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
		known = known.aged(min(max(0, age), longest))
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

// longest bounds the times of a record, which is foreign: so they can be added.
const longest = 365 * 24 * time.Hour

// aged is what is known when that time has passed.
func (k record) aged(d time.Duration) record {
	within := func(d time.Duration) time.Duration { return min(max(0, d), longest) }
	k.Ejected, k.Calm, k.Warming = within(k.Ejected), within(k.Calm), within(k.Warming)
	switch {
	case k.Ejected > 0:
		k.Calm = max(0, d-k.Ejected)
		k.Ejected = max(0, k.Ejected-d)
	case k.Ejections > 0:
		k.Calm += d
	}
	if k.Warming > 0 {
		k.Warming += d
	}
	return k
}

// record is what is known of e. The backend's lock is held.
func (e *Endpoint) record(age time.Duration) record {
	known := record{
		Name:      e.name,
		Drained:   e.drained,
		Ejected:   max(0, e.ejection.until-age),
		Ejections: e.ejection.row,
		Failed:    int(e.failed.Load()),
		Health:    e.health.is,
		Unhealthy: e.health.why,
		Checks:    e.health.row,
	}
	if known.Health == HealthUnknown {
		known.Health = HealthUnchecked
	}
	if known.Ejections > 0 && known.Ejected == 0 {
		known.Calm = age - e.ejection.ended
	}
	if e.warmth(age) < 1 {
		known.Warming = age - time.Duration(e.warmFrom.Load())
	}
	return known
}

// leaves is what is to be remembered of e when it leaves, besides what record
// says: that it was well, or new, is worth nothing when it comes again.
func (e *Endpoint) leaves(age time.Duration) record {
	known := e.record(age)
	known.Warming, known.Failed = 0, 0
	if known.Health != HealthBad {
		known.Health, known.Checks = HealthUnchecked, 0
	}
	return known
}

// recall has e be what is known of it. The lock is held; rotate has to follow.
func (k *Backend) recall(e *Endpoint, known record, age time.Duration) {
	e.drained = known.Drained
	e.add(known.totals)
	k.recallHealth(e, known)
	k.recallEjection(e, known, age)
	if k.options().SlowStart > known.Warming && known.Warming > 0 {
		e.warmFrom.Store(int64(age - known.Warming))
		e.recalled = true
	}
}

// recallHealth has e be as well as it was, unless it was asked meanwhile.
func (k *Backend) recallHealth(e *Endpoint, known record) {
	o := k.options().Health
	if o == nil || e.health.is != HealthUnknown {
		return
	}
	switch known.Health {
	case HealthGood, HealthNotOffered:
		// Fewer than it takes: a rule that has become stricter is for the next check.
		e.health = health{is: known.Health, row: min(max(0, known.Checks), o.Fall-1)}
	case HealthBad:
		e.health = health{is: HealthBad, why: known.Unhealthy, row: min(max(0, known.Checks), o.Rise-1)}
	}
}

// recallEjection has e be left out as it was, and as near to it. Whatever the
// record says, it is no more than this backend would have done.
func (k *Backend) recallEjection(e *Endpoint, known record, age time.Duration) {
	o := k.options().Outlier
	if o == nil {
		return
	}
	e.failed.Store(int64(min(max(0, known.Failed), o.Consecutive-1)))
	e.ejection.row = max(0, min(known.Ejections, int(max(o.MaxEjectFor, o.EjectFor)/o.EjectFor)))
	e.ejection.ended = age - known.Calm
	if d := min(known.Ejected, max(o.MaxEjectFor, o.EjectFor)); d > 0 && e.ejection.until == 0 && k.mayEject() {
		k.leaveOut(e, age, d)
	}
}

// forgettable reports whether what is known of an endpoint that is not there is
// no more than what it has counted.
func (k record) forgettable() bool {
	k.totals = EndpointTotals{}
	return k.empty()
}

// remember keeps what is known of an endpoint that is not there, in case it
// comes. What was only counted makes room for the rest. The lock is held.
func (k *Backend) remember(known record) {
	if known.empty() {
		return
	}
	if _, ok := k.memory[known.Name]; !ok && len(k.memory) >= remembered && !k.forgetOne() {
		return
	}
	k.memory[known.Name] = known
}

// forgetOne makes room for one endpoint. It reports false if something else
// than counts is known of all. The lock is held.
func (k *Backend) forgetOne() bool {
	for name, known := range k.memory {
		if known.forgettable() {
			delete(k.memory, name)
			return true
		}
	}
	return false
}
