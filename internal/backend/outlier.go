package backend

import (
	"fmt"
	"time"
)

// Outlier is when a single endpoint gets no more calls for a while, because
// those that it had failed. All but MaxEjectFor are required.
type Outlier struct {
	Consecutive int // attempts in a row that ended as Bad
	// EjectFor is how long an endpoint is left out, times its ejections in a
	// row. One of these is forgotten for each EjectFor that it lasts after.
	EjectFor    time.Duration
	MaxEjectFor time.Duration // the longest; at least EjectFor
	// MaxEjectedPercent is how many of the endpoints may be left out at once.
	// If it is not 0, one of several may in any case.
	MaxEjectedPercent int
}

// ejection is an endpoint as an outlier. Guarded by Backend.mu.
type ejection struct {
	until time.Duration // age of the backend; 0: it is not ejected
	ended time.Duration // age at which the last one ended
	row   int           // ejections in a row
	total uint64
}

// count takes account of how an attempt ended. It takes the backend's lock
// only when an endpoint has failed often enough.
func (e *Endpoint) count(now time.Time, o Outcome) {
	limits := e.backend.options().Outlier
	switch {
	case limits == nil:
	case o == Good && e.failed.Load() != 0:
		e.failed.Store(0)
	case o == Bad && e.failed.Add(1) >= int64(limits.Consecutive):
		e.backend.eject(e, now)
	}
}

// eject leaves e out for a while, if that is allowed. It calls nobody.
func (k *Backend) eject(e *Endpoint, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e.failed.Store(0) // if it stays, it has as many tries again
	switch {
	case k.stopped || !e.listed || e.ejection.until > 0 || k.options().Outlier == nil:
		return
	case !k.mayEject():
		k.options().Counters.EjectionsDenied.Add(1)
		return
	}
	o, x, age := k.options().Outlier, &e.ejection, k.age(now)
	x.row -= min(x.row, int((age-x.ended)/o.EjectFor))
	x.row++
	x.total++
	k.ejections.Add(1)
	d := min(time.Duration(x.row)*o.EjectFor, max(o.MaxEjectFor, o.EjectFor))
	k.leaveOut(e, age, d)
	k.rotate(now)
	k.note(Event{Kind: Ejected, Endpoint: e.name, For: d, Why: fmt.Sprintf("%d calls in a row failed", o.Consecutive)})
}

// leaveOut ejects e for a time. The lock is held; rotate has to follow.
func (k *Backend) leaveOut(e *Endpoint, age, d time.Duration) {
	until := age + d
	e.ejection.until = until
	k.start(func() {
		e.serveNow() // who waits for it goes elsewhere
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			k.letIn(e, until)
		case <-k.ctx.Done():
		}
	})
}

// letIn ends the ejection of e that lasts until an age.
func (k *Backend) letIn(e *Endpoint, until time.Duration) {
	k.mu.Lock()
	ends := e.ejection.until == until && e.listed
	if ends {
		e.ejection.until, e.ejection.ended = 0, until
		k.rotate(time.Now())
		k.note(Event{Kind: Returned, Endpoint: e.name})
	}
	k.mu.Unlock()
	if ends {
		k.serveEverybody()
	}
}

// mayEject reports whether one more endpoint may be left out. The lock is held.
func (k *Backend) mayEject() bool {
	list := *k.list.Load()
	allowed := len(list) * k.options().Outlier.MaxEjectedPercent / 100
	if allowed == 0 && k.options().Outlier.MaxEjectedPercent > 0 && len(list) > 1 {
		allowed = 1
	}
	for _, e := range list {
		if e.ejection.until > 0 {
			allowed--
		}
	}
	return allowed > 0
}
