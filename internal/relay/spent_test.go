package relay

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loom/internal/backend"
	"loom/internal/route"
)

// retrying is a relay with a route that retries and one that does not.
func retrying(t testing.TB, names ...string) *Relay {
	t.Helper()
	var rules []route.Rule
	for _, name := range names {
		rules = append(rules, route.Rule{Name: name, Deny: 7, Retry: &route.Retry{Attempts: 2, Initial: time.Second, Max: time.Second, BudgetPercent: 20}})
	}
	rules = append(rules, route.Rule{Name: "plain", Deny: 7})
	table, err := route.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Options{Rules: Rules{Routes: table, Backends: map[string]*backend.Backend{}}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *Relay) budgetOf(name string) *budget {
	t := r.tables.Load()
	for i, rt := range t.rules.Routes.Routes() {
		if rt.Rule.Name == name {
			return t.routes[i].budget
		}
	}
	return nil
}

// The budgets go on second by second: what was taken is not there again, and
// what calls have paid for is forgotten when it would have been.
func TestBudgetsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := retrying(t, "a", "idle")
		g := first.budgetOf("a")
		for range 8 {
			for range 100 {
				g.call(time.Now())
			}
			time.Sleep(time.Second)
		}
		for range 100 {
			g.take(time.Now())
		}
		time.Sleep(300 * time.Millisecond)
		data, err := first.SnapshotBudgets()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(900 * time.Millisecond)
		second := retrying(t, "new", "a")
		if err := second.RestoreBudgets(data, 900*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		for range 15 {
			now := time.Now()
			g.mu.Lock()
			g.turnLocked(now)
			want := g.sum
			g.mu.Unlock()
			h := second.budgetOf("a")
			h.mu.Lock()
			h.turnLocked(now)
			got := h.sum
			h.mu.Unlock()
			if got != want {
				t.Fatalf("it has seen %+v, want %+v", got, want)
			}
			time.Sleep(700 * time.Millisecond)
		}
		if g := second.budgetOf("new"); !g.take(time.Now()) {
			t.Error("a new route has no budget")
		}
	})
}

// What is wrong changes nothing.
func TestWrongBudgets(t *testing.T) {
	for text, want := range map[string]string{
		``:              "unexpected end",
		`{"version":2}`: "has version 2, want 1",
		`{"version":1,"routes":{"a":{"age":-1}}}`:                                           "impossible times",
		`{"version":1,"routes":{"a":{"calls":[1]}}}`:                                        "impossible times",
		`{"version":1,"routes":{"a":{"calls":[1,2,3,4,5,6,7,8,9,10,11],"retries":[]}}}`:     "impossible times",
		`{"version":1,"routes":{"b":{},"a":{"calls":[1099511627777],"retries":[0]}}}`:       "impossible count",
		`{"version":1,"routes":{"a":{"calls":[18446744073709551615],"retries":[1000000]}}}`: "impossible count",
	} {
		r := retrying(t, "a")
		if err := r.RestoreBudgets([]byte(text), 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
		if s := r.budgetOf("a").sum; s != (budgetSlot{}) {
			t.Errorf("%s made %+v", text, s)
		}
	}
}

func FuzzRestoreBudgets(f *testing.F) {
	f.Add([]byte(`{"version":1,"routes":{"a":{"age":1000,"calls":[5,6],"retries":[1,0]}}}`), int64(5))
	f.Fuzz(func(t *testing.T, data []byte, age int64) {
		r := retrying(t, "a")
		if r.RestoreBudgets(data, time.Duration(age)) != nil {
			return
		}
		g := r.budgetOf("a")
		for range 5 {
			g.call(time.Now())
			g.take(time.Now())
		}
		again, err := r.SnapshotBudgets()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.RestoreBudgets(again, 0); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}
