package server

import (
	"loom/internal/callevent"
	"loom/internal/relay"
)

// Ended is told of each call when it is over. It returns at once, and does
// not keep the summary.
type Ended interface {
	Ended(s *callevent.Summary)
}

// recorder follows calls from their beginning.
type recorder interface {
	Begin(c callevent.Call) callevent.Follower
}

// observers hands what the relay reports to all who want to know of it.
type observers struct {
	recorder recorder
	ended    []Ended
}

// observe returns the observer of a relay; nil if nobody wants to know.
func observe(r recorder, ended []Ended) relay.Observer {
	if r == nil && len(ended) == 0 {
		return nil
	}
	return &observers{recorder: r, ended: ended}
}

// Begin returns the recorder of the call.
func (o *observers) Begin(c callevent.Call) callevent.Follower {
	if o.recorder == nil {
		return nil
	}
	return o.recorder.Begin(c)
}

// Ended tells all who count or print.
func (o *observers) Ended(s *callevent.Summary) {
	for _, e := range o.ended {
		e.Ended(s)
	}
}
