package relay

import (
	"strconv"
	"time"

	"google.golang.org/grpc/codes"

	"loom/internal/backend"
	"loom/internal/h2"
)

// timing is what a call has to do at a time, its deadline aside. Calls whose
// route asks for nothing of it have none.
type timing struct {
	tryUntil time.Time // when the attempt under way is given up, unless its answer has begun
	retryAt  time.Time // when the next attempt is due; zero: none is
	moved    time.Time // when bytes passed last, either way
	backoffs int       // since the backend said how long to wait
}

// due is something that a call does at a time.
type due uint8

const (
	dueNothing due = iota
	dueDeadline
	dueIdle
	dueTry
	dueRetry
)

// allow notes how long the call may take: as long as the caller says, or the
// route if that is less.
func (c *Call) allow(b *h2.Batch) {
	c.allowed = c.request.timeout
	t := &c.route.Rule.Timeout
	if t.Overall > 0 && (c.allowed == 0 || t.Overall < c.allowed) {
		c.allowed, c.ours = t.Overall, true
	}
	if t.PerTry > 0 || t.Idle > 0 {
		c.times = &timing{moved: b.Now}
	}
}

// bound gives the attempt that begins its time, and sets the alarm.
func (c *Call) bound(b *h2.Batch) {
	if t := &c.route.Rule.Timeout; t.PerTry > 0 {
		c.times.tryUntil = b.Now.Add(t.PerTry)
	}
	c.arm()
}

// arm sets the alarm of the call to what is due first.
func (c *Call) arm() {
	if what, at := c.next(); what != dueNothing {
		c.down.SetDeadline(at)
	}
}

// next returns what is due first, and when.
func (c *Call) next() (what due, at time.Time) {
	if c.allowed > 0 {
		what, at = dueDeadline, c.started.Add(c.allowed)
		if !c.ours {
			at = at.Add(deadlineGrace)
		}
	}
	t := c.times
	if t == nil {
		return what, at
	}
	consider := func(w due, when time.Time) {
		if what == dueNothing || when.Before(at) {
			what, at = w, when
		}
	}
	if idle := c.route.Rule.Timeout.Idle; idle > 0 && t.retryAt.IsZero() {
		consider(dueIdle, t.moved.Add(idle))
	}
	if !t.tryUntil.IsZero() && c.try != nil && !c.answered {
		consider(dueTry, t.tryUntil)
	}
	if !t.retryAt.IsZero() {
		consider(dueRetry, t.retryAt)
	}
	return what, at
}

// due returns what has to be done now.
func (c *Call) due(b *h2.Batch) due {
	what, at := c.next()
	if c.reported || b.Now.Before(at) {
		return dueNothing
	}
	return what
}

// Expired says that the time for something may have come.
func (d *downLeg) Expired(b *h2.Batch) {
	c := (*Call)(d)
	c.mu.Lock()
	what := c.due(b)
	if c.waits() && what != dueNothing && what != dueRetry {
		// Nobody is to serve an attempt that is given up, nor to take the next
		// one for it.
		c.mu.Unlock()
		c.upstream.Forget(c)
		c.mu.Lock()
		what = c.due(b)
	}
	var next backend.Pick
	again := false
	switch what {
	case dueDeadline:
		c.deadlinePassed(b)
	case dueIdle:
		c.idled(b)
	case dueTry:
		c.cut(b)
	case dueRetry:
		if again = c.retry(b); again {
			next = pickOf(c.upstream.HashMetadata(), c.kept.fields)
			next.Avoid = c.endpoint
		}
	}
	if !c.reported {
		c.arm()
	}
	c.mu.Unlock()
	if again {
		c.dispatch(b, next)
	}
}

// deadlinePassed answers a call whose time is over.
func (c *Call) deadlinePassed(b *h2.Batch) {
	r := &refusal{codes.DeadlineExceeded, ReasonDeadline, "the deadline passed before the backend had answered"}
	if c.ours {
		c.conn.relay.opts.Counters.OverallTimeouts.Add(1)
		r.reason, r.message = ReasonTimeout, c.timeoutMessage("the call took longer than", "overall", c.allowed)
	}
	c.overdue(b, r.message)
	c.answer(b, r)
}

// idled answers a call on which nothing passes. Whether the backend is to
// blame can be told only when the caller has nothing more to say.
func (c *Call) idled(b *h2.Batch) {
	c.conn.relay.opts.Counters.IdleTimeouts.Add(1)
	r := &refusal{codes.DeadlineExceeded, ReasonIdle,
		c.timeoutMessage("nothing passed for", "idle", c.route.Rule.Timeout.Idle)}
	if c.try != nil && c.upEnd && c.upstream.counts(codes.DeadlineExceeded) {
		c.try.settle(b, Failure, r.message)
	}
	c.answer(b, r)
}

// cut gives up the attempt under way, whose time is over. That bound is there
// so that another attempt can be made, so this one is worth it whatever codes
// the route names.
func (c *Call) cut(b *h2.Batch) {
	c.conn.relay.opts.Counters.PerTryTimeouts.Add(1)
	r := &refusal{codes.DeadlineExceeded, ReasonPerTry,
		c.timeoutMessage("no answer began within", "per_try", c.route.Rule.Timeout.PerTry)}
	v := Excluded
	if c.upstream.counts(codes.DeadlineExceeded) {
		v = Failure
	}
	c.try.settle(b, v, r.message)
	if p := c.route.Rule.Retry; p == nil || !c.tryAgain(b, p, nil) {
		c.answer(b, r)
	}
}

func (c *Call) timeoutMessage(what, key string, d time.Duration) string {
	return what + " timeout." + key + " of route " + strconv.Quote(c.routeName()) + ", " + d.String()
}

// late reports whether the deadline is here, give or take a moment: those who
// keep it cancel a little early or late.
func (c *Call) late(b *h2.Batch) bool {
	return c.allowed > 0 && b.Now.Sub(c.started) >= c.allowed-deadlineGrace
}

// overdue settles the attempt of a call whose time is over, if there is one.
func (c *Call) overdue(b *h2.Batch, why string) {
	if c.try != nil {
		c.try.settle(b, c.deadlineVerdict(b), why)
	}
}
