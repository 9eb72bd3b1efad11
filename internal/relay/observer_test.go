package relay_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"loom/internal/callevent"
)

// observer notes what the relay reports and holds it to the promises of
// package callevent.
type observer struct {
	t *testing.T

	mu sync.Mutex
	// guarded by mu
	calls   map[uint64]*seenCall
	summary []callevent.Summary
}

// seenCall is the follower of one call.
type seenCall struct {
	observer *observer
	id       uint64

	// guarded by observer.mu
	last     string
	ended    bool
	messages [2]uint64
	size     [2]uint64 // of the message under way
	bytes    [2]uint64 // that have come of it
}

func newObserver(t *testing.T) *observer {
	return &observer{t: t, calls: make(map[uint64]*seenCall)}
}

// Begin implements relay.Observer.
func (o *observer) Begin(begun callevent.Call) callevent.Follower {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.calls[begun.ID] != nil {
		o.t.Errorf("call %d started twice", begun.ID)
	}
	c := &seenCall{observer: o, id: begun.ID}
	o.calls[begun.ID] = c
	return c
}

// Ended implements relay.Observer.
func (o *observer) Ended(s *callevent.Summary) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.summary = append(o.summary, *s)
}

// note has f note an event, which no call has after its end.
func (c *seenCall) note(event string, f func()) {
	o := c.observer
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.ended {
		o.t.Errorf("call %d: %s after its end", c.id, event)
		return
	}
	c.last = event
	f()
}

// The methods of callevent.Follower.

func (c *seenCall) Routed(time.Time, string, string) { c.note("routed", func() {}) }

func (c *seenCall) Attempted(time.Time, string, string) { c.note("attempted", func() {}) }

func (c *seenCall) Interim(time.Time, []hpack.HeaderField) { c.note("interim", func() {}) }

func (c *seenCall) Headers(time.Time, []hpack.HeaderField) { c.note("headers", func() {}) }

func (c *seenCall) Trailers(time.Time, []hpack.HeaderField) { c.note("trailers", func() {}) }

// Piece checks that the pieces of a message make it up.
func (c *seenCall) Piece(_ time.Time, p callevent.Piece) {
	c.note("piece", func() {
		d := p.Direction
		if p.First {
			c.size[d], c.bytes[d] = uint64(p.Size), 0
		}
		c.bytes[d] += uint64(len(p.Data))
		if p.Last != (c.bytes[d] == c.size[d]) {
			c.observer.t.Errorf("call %d: %d of %d bytes of a message came, last: %v", c.id, c.bytes[d], c.size[d], p.Last)
		}
		if p.Last {
			c.messages[d]++
		}
	})
}

func (c *seenCall) Ended(_ time.Time, s *callevent.Summary) {
	c.note("ended", func() {
		c.ended = true
		if c.messages != [2]uint64{s.Up.Messages, s.Down.Messages} {
			c.observer.t.Errorf("call %d: %d messages reported, summary says %d up, %d down", c.id, c.messages, s.Up.Messages, s.Down.Messages)
		}
	})
}

// check demands an end of every call.
func (o *observer) check() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, c := range o.calls {
		if !c.ended {
			o.t.Errorf("call %d never ended; its last event was %q", id, c.last)
		}
	}
}

// open returns how many calls have started and not ended.
func (o *observer) open() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.calls) - len(o.summary)
}

// only returns the summary of the only call that has ended so far.
func (o *observer) only() callevent.Summary {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.summary) != 1 {
		o.t.Fatalf("%d calls have ended, want 1: %+v", len(o.summary), o.summary)
	}
	return o.summary[0]
}

// all returns the summaries of the calls that have ended.
func (o *observer) all() []callevent.Summary {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.summary)
}
