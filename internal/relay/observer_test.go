package relay_test

import (
	"slices"
	"sync"
	"testing"

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

type seenCall struct {
	last  callevent.Kind
	ended bool
	bytes [2]uint64
}

func newObserver(t *testing.T) *observer {
	return &observer{t: t, calls: make(map[uint64]*seenCall)}
}

// Observe implements relay.Observer.
func (o *observer) Observe(e callevent.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.calls[e.Call]
	switch {
	case e.Kind == callevent.Start && c != nil:
		o.t.Errorf("call %d started twice", e.Call)
		return
	case e.Kind == callevent.Start:
		o.calls[e.Call] = &seenCall{}
		return
	case c == nil:
		o.t.Errorf("call %d: event %d before its start", e.Call, e.Kind)
		return
	case c.ended:
		o.t.Errorf("call %d: event %d after its end", e.Call, e.Kind)
		return
	}
	c.last = e.Kind
	switch e.Kind {
	case callevent.Data:
		c.bytes[e.Direction] += uint64(len(e.Data))
	case callevent.End:
		c.ended = true
		s := *e.Summary
		if c.bytes != [2]uint64{s.Up.Bytes, s.Down.Bytes} {
			o.t.Errorf("call %d: %d bytes reported, summary says %d up, %d down", e.Call, c.bytes, s.Up.Bytes, s.Down.Bytes)
		}
		o.summary = append(o.summary, s)
	}
}

// check demands an end of every call.
func (o *observer) check() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, c := range o.calls {
		if !c.ended {
			o.t.Errorf("call %d never ended; its last event was %d", id, c.last)
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
