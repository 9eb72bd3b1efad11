package ledger

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// shelf is a source of counts by key.
type shelf map[string]uint64

func (s shelf) Count(put func(n uint64, key ...string)) {
	for key, n := range s {
		put(n, strings.Split(key, "/")...)
	}
}

func (s shelf) Add(n uint64, key ...string) { s[strings.Join(key, "/")] += n }

// process is one of several that follow each other.
type process struct {
	*Ledger
	shelf      shelf
	generation int
	levels     int
}

func newProcess(generation int) *process {
	p := &process{shelf: make(shelf), generation: generation}
	p.Ledger = New(Options{
		Sources: map[string]Source{"calls": p.shelf},
		Levels:  func(put func(n int, key ...string)) { put(p.levels, "open") },
	})
	return p
}

// must is for what cannot fail.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// successor takes over what p has counted.
func (p *process) successor(t *testing.T) *process {
	t.Helper()
	next := newProcess(p.generation + 1)
	if err := next.Restore(must[[]byte](t)(p.Save())); err != nil {
		t.Fatal(err)
	}
	return next
}

// tell has the newest process hear from p.
func (p *process) tell(t *testing.T, newest *process) {
	t.Helper()
	if err := newest.Take(p.generation, must[[]byte](t)(p.Report())); err != nil {
		t.Fatal(err)
	}
}

func (p *process) want(t *testing.T, key string, n uint64) {
	t.Helper()
	if got := p.shelf[key]; got != n {
		t.Fatalf("generation %d has counted %d %s, want %d", p.generation, got, key, n)
	}
}

func TestHandover(t *testing.T) {
	first := newProcess(1)
	first.shelf["users/OK"] = 10
	second := first.successor(t)
	second.want(t, "users/OK", 10)
	first.shelf["users/OK"] += 5
	first.shelf["users/late"]++
	second.shelf["users/OK"] += 100
	second.want(t, "users/OK", 110)
	for range 3 { // repeated
		first.tell(t, second)
		second.want(t, "users/OK", 115)
		second.want(t, "users/late", 1)
	}
	first.shelf["users/OK"]++ // not reported before the next handover

	third := second.successor(t)
	third.want(t, "users/OK", 115)
	first.shelf["users/OK"]++
	first.tell(t, third)
	third.want(t, "users/OK", 117)
	second.shelf["users/OK"] += 1000
	second.tell(t, third)
	third.want(t, "users/OK", 1117)
	third.Gone(1)
	third.Gone(2)
	third.want(t, "users/OK", 1117)
	third.successor(t).want(t, "users/OK", 1117)
}

// A successor that fails takes nothing along, and leaves nothing behind.
func TestFailedSuccessor(t *testing.T) {
	first := newProcess(1)
	first.shelf["all"] = 7
	second := first.successor(t)
	first.shelf["all"]++
	first.tell(t, second)
	for range 20 {
		failed := second.successor(t)
		failed.shelf["all"] += 1000
		first.shelf["all"]++
		second.shelf["all"]++
		first.tell(t, second)
	}
	second.want(t, "all", 48)
	third := second.successor(t)
	second.shelf["all"]++
	second.tell(t, third)
	first.tell(t, third)
	third.want(t, "all", 49)
}

// Levels are summed while those live that they are of.
func TestLevels(t *testing.T) {
	first := newProcess(1)
	second := first.successor(t)
	third := second.successor(t)
	first.levels, second.levels = 3, 4
	first.tell(t, third)
	second.tell(t, third)
	wantLevel := func(want int) {
		t.Helper()
		if n := third.Level("open"); n != want {
			t.Errorf("%d are open, want %d", n, want)
		}
	}
	wantLevel(7)
	if all := third.Levels("open"); !maps.Equal(all, map[int]int{1: 3, 2: 4}) {
		t.Errorf("%v", all)
	}
	first.levels = 0
	first.tell(t, third)
	wantLevel(4)
	third.Gone(2)
	wantLevel(0)
	third.want(t, "open", 0)
}

// house is the processes of a random history.
type house struct {
	t       *testing.T
	rng     *rand.Rand
	old     []*process // that live
	newest  *process
	counted uint64 // calls in all
	lost    uint64 // counted by those that were killed before they told of it
	shown   uint64 // by the newest, last
}

func (h *house) step() {
	switch n := h.rng.IntN(20); {
	case n < 8:
		all := slices.Concat(h.old, []*process{h.newest})
		h.counted++
		all[h.rng.IntN(len(all))].shelf["calls"]++
	case n < 14 && len(h.old) > 0:
		h.old[h.rng.IntN(len(h.old))].tell(h.t, h.newest)
	case n < 16 && len(h.old) > 0:
		h.end(h.rng.IntN(len(h.old)))
	case n < 18:
		h.newest.successor(h.t).shelf["calls"] += 5 // fails
	default:
		next := h.newest.successor(h.t)
		h.old = append(h.old, h.newest)
		h.newest = next
	}
	if n := h.newest.shelf["calls"]; n < h.shown {
		h.t.Fatalf("%d calls are shown after %d", n, h.shown)
	}
	h.shown = h.newest.shelf["calls"]
}

// end ends an old process, with or without a last word.
func (h *house) end(i int) {
	p := h.old[i]
	before := h.newest.shelf["calls"]
	p.tell(h.t, h.newest)
	if h.rng.IntN(2) == 0 { // killed: what it would have said is not heard
		h.lost += h.newest.shelf["calls"] - before
		h.newest.shelf["calls"] = before
	}
	h.newest.Gone(p.generation)
	h.old = append(h.old[:i:i], h.old[i+1:]...)
}

// Whatever happens, nothing that was shown falls, and at the end all is there
// but what those who were killed had not told.
func TestHistories(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			h := &house{t: t, rng: rand.New(rand.NewPCG(seed, 2)), newest: newProcess(1)}
			for range 400 {
				h.step()
			}
			for _, p := range h.old {
				p.tell(t, h.newest)
			}
			h.newest.want(t, "calls", h.counted-h.lost)
		})
	}
}

// What another process wrote is taken whole, or refused and changes nothing.
func TestWrongBytes(t *testing.T) {
	for name, data := range map[string]string{
		"empty":    "",
		"cut off":  `{"counts":{"calls\nall":3}`,
		"text":     `{"counts":{"calls\nall":"3"},"since":{"calls\nall":"3"}}`,
		"negative": `{"counts":{"calls\nall":-3},"since":{"calls\nall":-3}}`,
		"too many": `{"counts":{"calls\nall":1152921504606846977},"since":{"calls\nall":1152921504606846977}}`,
		"long key": `{"counts":{"calls\n` + strings.Repeat("x", maxKey) + `":3},"since":{"calls\n` + strings.Repeat("x", maxKey) + `":3}}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newProcess(2)
			if err := p.Restore([]byte(data)); err == nil {
				t.Error("it was restored")
			}
			if err := p.Take(1, []byte(data)); err == nil || !strings.Contains(err.Error(), "generation 1") {
				t.Errorf("it was taken: %v", err)
			}
			if len(p.shelf) > 0 {
				t.Errorf("it counted %v", p.shelf)
			}
		})
	}
	p := newProcess(2)
	if err := p.Restore([]byte(`{"counts":{"nobody\nall":3,"calls\nall":4},"older":{"1":{"nobody\nall":2}}}`)); err != nil {
		t.Error(err)
	}
	p.want(t, "all", 4)
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte(`{"counts":{"calls\na":3},"older":{"1":{"calls\na":2}}}`), []byte(`{"since":{"calls\na":5},"levels":{"\nopen":1}}`))
	f.Fuzz(func(t *testing.T, saved, reported []byte) {
		p := newProcess(9)
		_ = p.Restore(saved) // either may be refused
		_ = p.Take(1, reported)
		before := maps.Clone(p.shelf)
		_ = p.Take(1, reported)
		if !maps.Equal(p.shelf, before) {
			t.Fatalf("the same report again made %v of %v", p.shelf, before)
		}
		next := p.successor(t)
		for key, n := range p.shelf {
			if n > 0 && next.shelf[key] != n {
				t.Fatalf("%q: %d became %d", key, n, next.shelf[key])
			}
		}
	})
}
