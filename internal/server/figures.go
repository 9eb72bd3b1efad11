package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"loom/internal/backend"
	"loom/internal/breaker"
	"loom/internal/capture"
	"loom/internal/ledger"
)

// newLedger makes the ledger of all that the server counts.
func (s *Server) newLedger() *ledger.Ledger {
	sources := map[string]ledger.Source{
		"calls":     &s.calls,
		"limits":    limitCounts(s.counters.limits()),
		"tally":     s.watch.tally,
		"capture":   captureCounts{s.watch.store},
		"breakers":  breakerCounts{s},
		"backends":  backendCounts{s},
		"endpoints": endpointCounts{s},
		"metrics":   metricCounts{s.watch},
	}
	return ledger.New(ledger.Options{Sources: sources, Levels: s.levels})
}

// figuresRecord is everything that was counted, for the next process.
type figuresRecord struct {
	Recent recent          `json:"recent"` // of the tally; no more than the ledger has
	Ledger json.RawMessage `json:"ledger"`
}

func (s *Server) saveFigures() ([]byte, error) {
	r := figuresRecord{Recent: s.watch.tally.recent()}
	var err error
	if r.Ledger, err = s.ledger.Save(); err != nil {
		return nil, err
	}
	return json.Marshal(r)
}

func (s *Server) restoreFigures(data []byte, age time.Duration) error {
	var r figuresRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("read what was counted before: %w", err)
	}
	if err := s.ledger.Restore(r.Ledger); err != nil {
		return err
	}
	s.watch.tally.goOn(r.Recent, age)
	return nil
}

// The names of what rises and falls.
const (
	levelCalls    = "calls"
	levelAttempts = "attempts" // and of which backend
	levelWaiting  = "waiting"  // likewise
)

// levels are those of this process alone.
func (s *Server) levels(put func(n int, key ...string)) {
	put(s.relay.OpenCalls(), levelCalls)
	for name, k := range s.now().backends {
		st := k.Status()
		put(st.InFlight, levelAttempts, name)
		put(st.Waiting, levelWaiting, name)
	}
}

// carriedCalls are the calls of this process, and of those before.
type carriedCalls struct {
	own    func() uint64 // immutable
	before atomic.Uint64
}

func (c *carriedCalls) load() uint64 { return c.own() + c.before.Load() }

// Count is for the ledger.
func (c *carriedCalls) Count(put func(n uint64, key ...string)) { put(c.load(), "all") }

// Add adds calls of another process.
func (c *carriedCalls) Add(n uint64, key ...string) {
	if len(key) == 1 && key[0] == "all" {
		c.before.Add(n)
	}
}

// metricCounts are those that the metrics keep themselves.
type metricCounts struct{ watch *watch }

// Count is for the ledger.
func (c metricCounts) Count(put func(n uint64, key ...string)) {
	if m := c.watch.monitor; m != nil {
		m.metrics.Count(put)
	}
}

// Add adds to one of them.
func (c metricCounts) Add(n uint64, key ...string) {
	if m := c.watch.monitor; m != nil {
		m.metrics.Add(n, key...)
	}
}

// limitCounts are how often limits were hit, by their names.
type limitCounts []limit

// Count is for the ledger.
func (c limitCounts) Count(put func(n uint64, key ...string)) {
	for _, l := range c {
		put(l.n.Load(), l.name)
	}
}

// Add adds the hits of a limit in another process.
func (c limitCounts) Add(n uint64, key ...string) {
	for _, l := range c {
		if len(key) == 1 && l.name == key[0] {
			l.n.Add(n)
		}
	}
}

// figure is one of several counts of a thing.
type figure struct {
	name string
	n    *uint64
}

func putAll(put func(n uint64, key ...string), all []figure, key ...string) {
	for _, x := range all {
		put(*x.n, append(slices.Clip(key), x.name)...)
	}
}

func setOne(all []figure, name string, n uint64) bool {
	for _, x := range all {
		if x.name == name {
			*x.n = n
			return true
		}
	}
	return false
}

// captureCounts are what was recorded, and what was not.
type captureCounts struct{ store *capture.Store }

func captureFields(st *capture.Stats) []figure {
	return []figure{
		{"seen", &st.Seen}, {"calls", &st.Dropped}, {"messages", &st.NoRoom}, {"unredacted", &st.Unredacted}, {"changes", &st.Unshown}, {"session", &st.Session},
	}
}

// Count is for the ledger.
func (c captureCounts) Count(put func(n uint64, key ...string)) {
	st := c.store.Stats()
	putAll(put, captureFields(&st))
}

// Add adds to one of them.
func (c captureCounts) Add(n uint64, key ...string) {
	var st capture.Stats
	if len(key) == 1 && setOne(captureFields(&st), key[0], n) {
		c.store.AddCounts(st)
	}
}

// breakerCounts are the totals of breakers, by backend.
type breakerCounts struct{ server *Server }

func breakerFields(t *breaker.Totals) []figure {
	return []figure{
		{"allowed", &t.Allowed}, {"rejected", &t.Rejected}, {"successes", &t.Successes}, {"failures", &t.Failures}, {"excluded", &t.Excluded},
		{"late", &t.Late}, {"afterwards", &t.Afterwards}, {"probes", &t.Probes}, {"probe timeouts", &t.ProbeTimeouts}, {"openings", &t.Openings},
	}
}

// Count is for the ledger.
func (c breakerCounts) Count(put func(n uint64, key ...string)) {
	for name, b := range c.server.now().breakers {
		totals := b.Status().Totals
		putAll(put, breakerFields(&totals), name)
	}
}

// Add adds to one of them.
func (c breakerCounts) Add(n uint64, key ...string) {
	var t breaker.Totals
	if len(key) != 2 || !setOne(breakerFields(&t), key[1], n) {
		return
	}
	if b := c.server.now().breakers[key[0]]; b != nil {
		b.Add(t)
	}
}

// backendCounts are what happened to the endpoints of backends, by backend.
type backendCounts struct{ server *Server }

func backendFields(t *backend.Totals) []figure {
	return []figure{{"ejections", &t.Ejections}, {"falls", &t.Falls}}
}

// Count is for the ledger.
func (c backendCounts) Count(put func(n uint64, key ...string)) {
	for name, k := range c.server.now().backends {
		st := k.Status()
		putAll(put, backendFields(&backend.Totals{Ejections: st.Ejections, Falls: st.Falls}), name)
	}
}

// Add adds to one of them.
func (c backendCounts) Add(n uint64, key ...string) {
	var t backend.Totals
	if len(key) != 2 || !setOne(backendFields(&t), key[1], n) {
		return
	}
	if k := c.server.now().backends[key[0]]; k != nil {
		k.Add(t)
	}
}

// endpointCounts are the totals of endpoints, by backend and name.
type endpointCounts struct{ server *Server }

func endpointFields(t *backend.EndpointTotals) []figure {
	return []figure{{"good", &t.Good}, {"bad", &t.Bad}, {"ejections", &t.Ejections}}
}

// Count is for the ledger.
func (c endpointCounts) Count(put func(n uint64, key ...string)) {
	for name, k := range c.server.now().backends {
		for _, e := range k.Status().Endpoints {
			putAll(put, endpointFields(&backend.EndpointTotals{Good: e.Good, Bad: e.Bad, Ejections: e.Ejections}), name, e.Address)
		}
	}
}

// Add adds to one of them.
func (c endpointCounts) Add(n uint64, key ...string) {
	var t backend.EndpointTotals
	if len(key) != 3 || !setOne(endpointFields(&t), key[2], n) {
		return
	}
	if k := c.server.now().backends[key[0]]; k != nil {
		k.AddEndpoint(key[1], t)
	}
}
