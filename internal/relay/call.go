package relay

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"loom/internal/backend"
	"loom/internal/callevent"
	"loom/internal/h2"
	"loom/internal/route"
)

// Call is one gRPC call: a stream downstream, and one after the other the
// streams of its attempts upstream. All of it is one piece of memory.
type Call struct {
	// Immutable once the headers came.
	relay   *Relay
	peer    string
	id      uint64
	started time.Time
	until   time.Time // the caller's deadline; zero if it has none
	request request
	route   *route.Route
	backend *backend.Backend

	follower callevent.Follower // guarded by mu once the call is routed; nil: nobody follows

	down h2.Stream // has locks of its own

	mu sync.Mutex
	// Guarded by mu.
	up       *h2.Stream        // the attempt under way; nil before and between
	first    h2.Stream         // memory of the first attempt
	kept     *kept             // nil once a second try is out of the question
	endpoint *backend.Endpoint // of the latest attempt
	open     bool              // its end has not been told to endpoint
	attempts int
	retried  bool
	answered bool // response headers were passed on
	reported bool // the status is decided
	upEnd    bool // END_STREAM came from the caller
	scan     [2]messageScanner
	traffic  [2]callevent.Traffic
	code     uint32 // of the status, if hasCode
	hasCode  bool
	detail   string
}

// downLeg is a call as the receiver of its downstream stream.
type downLeg Call

// Headers brings the request's headers, or its trailers, which gRPC does not
// use but HTTP/2 allows.
func (d *downLeg) Headers(b *h2.Batch, kind h2.BlockKind, fields []h2.Field, end bool) {
	c := (*Call)(d)
	if kind == h2.BlockTrailers {
		c.requestTrailers(b, fields)
		return
	}
	c.started = b.Now
	c.id = c.relay.lastCall.Add(1)
	c.relay.openCalls.Add(1)
	c.request = readRequest(fields)
	c.upEnd = end
	if o := c.relay.opts.Observer; o != nil {
		c.follower = o.Begin(callevent.Call{
			ID: c.id, At: b.Now, Peer: c.peer, Path: c.request.path, Authority: c.request.authority,
			Timeout: c.request.timeout, Fields: fields,
		})
	}
	switch {
	case kind == h2.BlockOversize:
		c.refuse(b, &refusal{codes.ResourceExhausted, ReasonHeaderList, "the request's metadata is too large"})
	case !c.request.grpc:
		if end {
			c.mu.Lock()
			c.answerNotGRPC(b)
			c.mu.Unlock()
		}
	default:
		c.begin(b, fields, end)
	}
}

// begin routes the call and sends it on its way.
func (c *Call) begin(b *h2.Batch, fields []h2.Field, end bool) {
	c.route = c.relay.opts.Routes.Find(c.request.path, c.request.authority, fields)
	switch {
	case c.route == nil:
		c.refuse(b, &refusal{codes.Unimplemented, ReasonNoRoute, "no route for " + c.request.path})
		return
	case c.route.Rule.Deny != 0:
		c.refuse(b, &refusal{codes.Code(c.route.Rule.Deny), ReasonDenied,
			"denied by route " + strconv.Quote(c.route.Rule.Name)})
		return
	}
	c.backend = c.relay.pick(c.route)
	c.event(b, callevent.Event{Kind: callevent.Routed, Route: c.routeName(), Backend: c.backendName()})
	if changes(&c.route.Rule.Request) {
		fields = edit(fields, &c.route.Rule.Request)
	}
	c.kept = newKept(fields)
	c.kept.end = end
	if c.request.timeout > 0 {
		c.until = c.started.Add(c.request.timeout)
		c.down.SetDeadline(c.until.Add(deadlineGrace))
	}
	c.dispatch(b)
}

// dispatch finds the call a connection. No lock is held.
func (c *Call) dispatch(b *h2.Batch) {
	if err := c.backend.Open(b, c, backend.Pick{}); err != nil {
		c.Refused(b, err)
	}
}

// Attempt opens the upstream stream on conn and sends what is kept of the request.
func (c *Call) Attempt(b *h2.Batch, conn *h2.Conn, e *backend.Endpoint) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reported || c.kept == nil {
		return backend.ErrOver
	}
	k := c.kept
	s := &c.first
	if c.attempts > 0 {
		s = new(h2.Stream)
	}
	all := k.end && len(k.body) == 0 && k.trailers == nil
	if err := conn.Open(b, s, (*upLeg)(c), k.fields, all); err != nil {
		return err
	}
	c.up, c.endpoint, c.open = s, e, true
	c.attempts++
	c.event(b, callevent.Event{Kind: callevent.Attempt, Backend: c.backend.Name(), Endpoint: e.Name()})
	if all {
		return nil
	}
	c.resend(b, k)
	return nil
}

// Over reports whether the call has ended: it needs no connection any more.
func (c *Call) Over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reported || c.kept == nil
}

// resend sends what is kept of the request's body. The caller gets credit
// only for what was never sent before.
func (c *Call) resend(b *h2.Batch, k *kept) {
	old := len(k.body) - k.unsent
	end := k.end && k.trailers == nil
	if old > 0 {
		c.up.Send(b, k.body[:old], end && k.unsent == 0, nil)
	}
	if k.unsent > 0 || end && old == 0 {
		c.up.Send(b, k.body[old:], end, &c.down)
		k.unsent = 0
	}
	if k.trailers != nil {
		c.up.SendHeaders(b, k.trailers, true)
	}
}

// Data brings bytes of the request.
func (d *downLeg) Data(b *h2.Batch, _ *h2.Stream, p []byte, end bool) {
	c := (*Call)(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.upEnd = c.upEnd || end
	if c.up == nil && c.kept == nil {
		c.down.Discard(b, len(p))
		if end && !c.reported {
			c.answerNotGRPC(b)
		}
		return
	}
	c.pass(b, callevent.Up, p)
	if c.kept != nil && !c.keep(b, p, end) {
		return
	}
	if c.up != nil {
		c.up.Send(b, p, end, &c.down)
	}
}

// keep adds to what is kept of the request. It reports false when the call
// ended because there is no room for bytes that nobody has taken.
func (c *Call) keep(b *h2.Batch, p []byte, end bool) bool {
	k := c.kept
	k.end = end
	most := c.relay.opts.KeptRequest
	if c.up == nil {
		// The stream's window bounds what can come before an attempt takes it.
		most += c.relay.opts.H2.Limits.MaxWindow
	}
	if (c.up == nil || !k.hopeless(p, most)) && k.add(p, most, c.relay.opts.H2.Budget) {
		if c.up == nil {
			k.unsent += len(p)
		}
		return true
	}
	if c.up != nil {
		c.relay.opts.Counters.KeptRequests.Add(1)
		c.release(b)
		return true
	}
	c.down.Discard(b, len(p))
	c.answer(b, &refusal{codes.ResourceExhausted, ReasonOutOfBuffer, "no room to hold the request until there is a connection"})
	return false
}

func (c *Call) requestTrailers(b *h2.Batch, fields []h2.Field) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.upEnd = true
	if c.backend == nil && !c.reported {
		c.answerNotGRPC(b)
		return
	}
	if c.kept != nil {
		c.kept.end = true
		c.kept.trailers = fields
	}
	if c.up != nil {
		c.up.SendHeaders(b, fields, true)
	}
}

// Ended says that the caller's stream ended early: the backend hears at once.
func (d *downLeg) Ended(b *h2.Batch, e h2.End) {
	c := (*Call)(d)
	c.mu.Lock()
	up := c.up
	waiting := c.waits()
	if up != nil {
		code := h2.CodeCancel
		if e.Cause == h2.CausePeer {
			code = e.Code
		}
		up.Reset(b, code)
		c.up = nil
		c.done(b, backend.Neither)
	}
	if !c.reported {
		c.lost(b, e)
	}
	c.release(b)
	c.mu.Unlock()
	if waiting {
		c.backend.Forget(c)
	}
}

// lost reports a call that ended with its caller.
func (c *Call) lost(b *h2.Batch, e h2.End) {
	switch e.Cause {
	case h2.CauseLost, h2.CauseRefused:
		c.report(b, callevent.ByCallerLost, "")
	case h2.CauseFault:
		c.detail = e.Fault
		c.report(b, callevent.ByLoom, ReasonCallerFault)
	case h2.CauseStall, h2.CauseBudget:
		c.report(b, callevent.ByLoom, stuckReason(e.Cause))
	default:
		c.code, c.hasCode = uint32(codes.Canceled), true
		ender := callevent.ByCancel
		if c.late(b) {
			c.code, ender = uint32(codes.DeadlineExceeded), callevent.ByDeadline
		}
		c.report(b, ender, "")
	}
}

// late reports whether the caller's deadline is here, give or take a moment:
// those who keep it cancel a little early or late.
func (c *Call) late(b *h2.Batch) bool {
	return !c.until.IsZero() && !b.Now.Before(c.until.Add(-deadlineGrace))
}

// Expired says that the caller's deadline and the grace have passed.
func (d *downLeg) Expired(b *h2.Batch) {
	c := (*Call)(d)
	c.mu.Lock()
	waiting := c.waits()
	if !c.reported {
		c.answer(b, &refusal{codes.DeadlineExceeded, ReasonDeadline, "the deadline passed before the backend had answered"})
	}
	c.mu.Unlock()
	if waiting {
		c.backend.Forget(c)
	}
}

// Refused says that there is no connection for the call.
func (c *Call) Refused(b *h2.Batch, err error) {
	r := &refusal{codes.Unavailable, ReasonUnreachable, "backend " + strconv.Quote(c.backend.Name()) + ": " + err.Error()}
	switch {
	case errors.Is(err, backend.ErrPendingFull):
		r.reason = ReasonLimit
	case errors.Is(err, backend.ErrStopped):
		r.reason = ReasonBackendRemoved
	}
	c.refuse(b, r)
}

// refuse is answer with the lock not held.
func (c *Call) refuse(b *h2.Batch, r *refusal) {
	c.mu.Lock()
	if !c.reported {
		c.answer(b, r)
	}
	c.mu.Unlock()
}

// answer ends the call with a status of loom's own.
func (c *Call) answer(b *h2.Batch, r *refusal) {
	if c.up != nil {
		c.up.Reset(b, h2.CodeCancel)
		c.up = nil
		c.done(b, backend.Neither)
	}
	c.code, c.hasCode, c.detail = uint32(r.code), true, r.message
	ender := callevent.ByLoom
	switch r.reason {
	case ReasonBackendLost:
		ender = callevent.ByBackendLost
	case ReasonDeadline:
		ender = callevent.ByDeadline
	}
	fields := r.trailersOnly(c.routeName(), c.backendName())
	if c.answered {
		fields = fields[2:] // without :status and content-type
	}
	c.event(b, callevent.Event{Kind: callevent.Trailers, Fields: fields})
	c.down.SendHeaders(b, fields, true)
	if !c.upEnd {
		c.down.ResetAfter(b, h2.CodeNo)
	}
	c.report(b, ender, r.reason)
	c.release(b)
}

// release lets go of what is kept of the request.
func (c *Call) release(b *h2.Batch) {
	if c.kept == nil {
		return
	}
	c.down.Discard(b, c.kept.unsent)
	c.kept.free(c.relay.opts.H2.Budget)
	c.kept = nil
}

// waits reports whether the call may be in its backend's queue.
func (c *Call) waits() bool { return c.up == nil && c.kept != nil }

func (c *Call) routeName() string {
	if c.route == nil {
		return ""
	}
	return c.route.Rule.Name
}

func (c *Call) endpointName() string {
	if c.endpoint == nil {
		return ""
	}
	return c.endpoint.Name()
}

func (c *Call) backendName() string {
	if c.backend == nil {
		return ""
	}
	return c.backend.Name()
}
