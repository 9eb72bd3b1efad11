package relay

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// budgetVersion is raised when an older loomd would misread the budgets.
const budgetVersion = 1

// maxSpent bounds the calls of a second in a record.
const maxSpent = 1 << 40

// spentRecord is what the budgets of the routes have seen go by, for the next
// process.
type spentRecord struct {
	Version int                      `json:"version"`
	Routes  map[string]routeSpending `json:"routes"` // by name
}

// routeSpending is what went by on one route. It has no points in time.
type routeSpending struct {
	Age     time.Duration `json:"age"`     // of the newest second
	Calls   []uint64      `json:"calls"`   // by second, the newest first
	Retries []uint64      `json:"retries"` // likewise
}

// SnapshotBudgets returns what the retry budgets of the routes have seen of late,
// for RestoreBudgets, also in another process.
func (r *Relay) SnapshotBudgets() ([]byte, error) {
	now, t := time.Now(), r.tables.Load()
	out := spentRecord{Version: budgetVersion, Routes: make(map[string]routeSpending)}
	for i, rt := range t.rules.Routes.Routes() {
		if g := t.routes[i].budget; g != nil {
			out.Routes[rt.Rule.Name] = g.record(now)
		}
	}
	return json.Marshal(out)
}

// RestoreBudgets has the budgets of the routes with those names go on from what
// SnapshotBudgets wrote age ago. It is for a relay that nobody uses yet. An
// error changes nothing.
func (r *Relay) RestoreBudgets(data []byte, age time.Duration) error {
	var in spentRecord
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("read what retry budgets have seen: %w", err)
	}
	if in.Version != budgetVersion {
		return fmt.Errorf("what retry budgets have seen has version %d, want %d", in.Version, budgetVersion)
	}
	for name, s := range in.Routes {
		if err := s.check(); err != nil {
			return fmt.Errorf("read what the retry budget of route %q has seen: %w", name, err)
		}
	}
	written, t := time.Now().Add(-age), r.tables.Load()
	for i, rt := range t.rules.Routes.Routes() {
		s, ok := in.Routes[rt.Rule.Name]
		if g := t.routes[i].budget; g != nil && ok {
			g.goOn(s, written)
		}
	}
	return nil
}

func (s *routeSpending) check() error {
	if s.Age < 0 || len(s.Calls) > budgetSlots || len(s.Retries) != len(s.Calls) {
		return errors.New("it has impossible times")
	}
	for i := range s.Calls {
		if s.Calls[i] > maxSpent || s.Retries[i] > maxSpent {
			return errors.New("it has an impossible count")
		}
	}
	return nil
}

func (g *spending) record(now time.Time) routeSpending {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turnLocked(now)
	s := routeSpending{Age: now.Sub(g.epoch) - time.Duration(g.second)*time.Second}
	for i := range min(g.second+1, budgetSlots) {
		slot := g.slots[(g.second-i)%budgetSlots]
		s.Calls, s.Retries = append(s.Calls, slot.calls), append(s.Retries, slot.retries)
	}
	return s
}

// goOn has the spending be that of a record.
func (g *spending) goOn(s routeSpending, written time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	// Its newest second is one that has as many before it.
	g.second = budgetSlots
	g.epoch = written.Add(-min(s.Age, budgetSlots*time.Second) - budgetSlots*time.Second)
	g.slots, g.sum = [budgetSlots]budgetSlot{}, budgetSlot{}
	for i := range s.Calls {
		slot := budgetSlot{s.Calls[i], s.Retries[i]}
		g.slots[(budgetSlots-i)%budgetSlots] = slot
		g.sum.calls += slot.calls
		g.sum.retries += slot.retries
	}
}
