package ledger

import (
	"encoding/json"
	"fmt"
	"maps"
	"sync"
)

// Source is one who counts. Its methods may be called from any goroutine, but
// never two of them at once.
type Source interface {
	// Count calls put for each count that there is. The parts of a key may be
	// anything without a line end.
	Count(put func(n uint64, key ...string))
	// Add adds to the count with that key. It leaves alone what it does not
	// know: another version of loomd, or another configuration, had it.
	Add(n uint64, key ...string)
}

// Options is what a Ledger keeps.
type Options struct {
	Sources map[string]Source // by a name without a line end
	// Levels calls put for what rises and falls, and is reported while the
	// process lives; nil: nothing.
	Levels func(put func(n int, key ...string))
}

// Ledger is what the process and those before it have counted. It is safe for
// concurrent use.
type Ledger struct {
	// Immutable.
	opts Options

	mu sync.Mutex
	// Guarded by mu.
	saved  counts         // for the successor that is told of what comes
	told   map[int]counts // by older processes, since they were saved
	levels map[int]map[string]int
}

// New returns a ledger in which nothing was taken over.
func New(o Options) *Ledger {
	return &Ledger{opts: o, told: make(map[int]counts), levels: make(map[int]map[string]int)}
}

// Save returns all that was counted, for Restore in a successor. Report tells
// from now on what has come since.
func (l *Ledger) Save() ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.saved = l.countLocked()
	data, err := json.Marshal(record{Counts: l.saved, Older: l.told})
	if err != nil {
		return nil, fmt.Errorf("save what was counted: %w", err)
	}
	return data, nil
}

// Restore adds what Save returned. It is called before anything counts.
func (l *Ledger) Restore(data []byte) error {
	var r record
	if err := read(data, &r); err != nil {
		return fmt.Errorf("read what was counted before: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addLocked(r.Counts)
	maps.Copy(l.told, r.Older)
	return nil
}

// Report returns what has come since Save, for Take in the successor.
func (l *Ledger) Report() ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := report{Since: l.countLocked().since(l.saved), Levels: make(map[string]int)}
	if l.opts.Levels != nil {
		l.opts.Levels(func(n int, key ...string) {
			if n > 0 {
				r.Levels[keyOf("", key)] = n
			}
		})
	}
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("report what was counted: %w", err)
	}
	return data, nil
}

// Take adds what is new in a report of an older process.
func (l *Ledger) Take(generation int, data []byte) error {
	var r report
	if err := read(data, &r); err != nil {
		return fmt.Errorf("read what generation %d has counted: %w", generation, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.told[generation]; !ok && len(l.told) >= maxGenerations {
		return fmt.Errorf("generation %d counts, and %d others do", generation, len(l.told))
	}
	more := r.Since.since(l.told[generation])
	l.addLocked(more)
	told := maps.Clone(l.told[generation])
	if told == nil {
		told = make(counts)
	}
	for key, n := range more {
		told[key] += n
	}
	l.told[generation] = told
	l.levels[generation] = r.Levels
	return nil
}

// Gone says that an older process has ended. What it counted stays.
func (l *Ledger) Gone(generation int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.told, generation)
	delete(l.levels, generation)
}

// Level returns the sum of what the older processes said last of a level.
func (l *Ledger) Level(key ...string) int {
	name := keyOf("", key)
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := 0
	for _, levels := range l.levels {
		sum += levels[name]
	}
	return sum
}

// Levels returns what each of the older processes said last of a level, by
// their generation.
func (l *Ledger) Levels(key ...string) map[int]int {
	name := keyOf("", key)
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[int]int, len(l.levels))
	for generation, levels := range l.levels {
		all[generation] = levels[name]
	}
	return all
}

func (l *Ledger) countLocked() counts {
	all := make(counts)
	for name, s := range l.opts.Sources {
		s.Count(func(n uint64, key ...string) {
			if n > 0 {
				all[keyOf(name, key)] = n
			}
		})
	}
	return all
}

func (l *Ledger) addLocked(c counts) {
	for key, n := range c {
		name, parts := cutKey(key)
		if s := l.opts.Sources[name]; s != nil {
			s.Add(n, parts...)
		}
	}
}
