package mixed

import (
	"fmt"
	"sync"
)

// keptErrors is how many errors are kept word for word.
const keptErrors = 5

// Tally is what came of a mixed run. Everything but the last four is as wished.
type Tally struct {
	Calls    int // that ran to their end
	Messages int // that came back right
	Cancels  int // of calls, by us
	Cuts     int // of connections, by us

	Wrong  int // replies that differ from what was due: altered, repeated, out of order
	Lost   int // replies that did not come though the call ended well
	Failed int // calls that ended in an error which nobody caused
	Errors []string
}

// Faults is the number of things that went wrong.
func (t Tally) Faults() int { return t.Wrong + t.Lost + t.Failed }

// counter is a Tally that many goroutines add to.
type counter struct {
	mu    sync.Mutex // guards following
	tally Tally
}

func (c *counter) add(f func(*Tally)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.tally)
}

// blame counts a fault in one of the tally's fields and keeps its description.
func (c *counter) blame(n int, field func(*Tally) *int, format string, args ...any) {
	c.add(func(t *Tally) {
		*field(t) += n
		if len(t.Errors) < keptErrors {
			t.Errors = append(t.Errors, fmt.Sprintf(format, args...))
		}
	})
}

func wrong(t *Tally) *int  { return &t.Wrong }
func lost(t *Tally) *int   { return &t.Lost }
func failed(t *Tally) *int { return &t.Failed }

func (c *counter) result() Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tally
}
