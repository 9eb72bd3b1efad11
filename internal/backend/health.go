package backend

import (
	"time"
)

// HealthCheck is how endpoints are asked for their health (grpc.health.v1).
// All but Service and Authority are required.
type HealthCheck struct {
	Interval time.Duration // between two checks of an endpoint; a bit less, at random
	Timeout  time.Duration // of a check
	Fall     int           // bad checks in a row that take an endpoint out
	Rise     int           // good checks in a row that bring it back
	Service  string        // that is asked for; empty: the whole process
	// Authority is what the endpoint sees as :authority; empty: its address.
	Authority string
}

// Health is what is known of an endpoint's health.
type Health string

// What may be known.
const (
	HealthUnchecked  Health = ""            // nobody asks
	HealthUnknown    Health = "unknown"     // it has not answered yet
	HealthGood       Health = "healthy"     // it said so
	HealthBad        Health = "unhealthy"   // it said so, or did not answer
	HealthNotOffered Health = "not offered" // it has no such service, which counts as healthy
)

// health is an endpoint's health. Guarded by Backend.mu.
type health struct {
	is  Health
	why string // it is bad
	row int    // checks in a row that say otherwise
}

// checkup is what a health check found.
type checkup struct {
	bad        string // why; empty if it is good
	notOffered bool
	// final is set if the endpoint itself said that it is not well: there is
	// nothing to wait for.
	final bool
}

// judge takes account of a health check of e.
func (k *Backend) judge(e *Endpoint, c checkup) {
	k.mu.Lock()
	h, was := &e.health, e.health.is
	o := k.options()
	if k.stopped || !e.listed || o.Health == nil {
		k.mu.Unlock()
		return
	}
	h.take(c, o.Health)
	fell, rose := h.is == HealthBad && was != HealthBad, was == HealthBad && h.is != HealthBad
	switch {
	case fell:
		k.falls.Add(1)
		k.note(Event{Kind: Unhealthy, Endpoint: e.name, Why: h.why})
	case rose:
		k.note(Event{Kind: Healthy, Endpoint: e.name})
	}
	if fell || rose {
		k.rotate(time.Now())
	}
	k.mu.Unlock()
	if rose {
		e.wake()
	}
	if fell || rose {
		k.serveEverybody()
	}
	if rose && o.Recovered != nil {
		o.Recovered()
	}
}

// take changes h by a check. The first one decides at once: what came before
// is not known.
func (h *health) take(c checkup, o *HealthCheck) {
	good := HealthGood
	if c.notOffered {
		good = HealthNotOffered
	}
	switch {
	case c.bad == "" && h.is == HealthBad:
		if h.row++; h.row >= o.Rise {
			*h = health{is: good}
		}
	case c.bad == "":
		*h = health{is: good}
	case h.is == HealthBad:
		h.row, h.why = 0, c.bad
	default:
		h.row++
		if h.row >= o.Fall || h.is == HealthUnknown || c.final {
			*h = health{is: HealthBad, why: c.bad}
		}
	}
}
