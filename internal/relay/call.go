package relay

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"loom/internal/backend"
	"loom/internal/callevent"
	"loom/internal/h2"
	"loom/internal/route"
)

// Call is one gRPC call: a stream downstream, and one after the other the
// streams of its attempts upstream. All of it is one piece of memory, of 888
// bytes at most: one more, and the allocator takes 1,024.
type Call struct {
	// Immutable once the headers came.
	conn     *downstream // that it came in on
	tables   *Tables     // that were in force when it began
	id       uint64
	started  time.Time
	allowed  time.Duration // from started to the deadline; 0: it has none
	ours     bool          // the deadline is the route's, not the caller's
	begun    atomic.Bool   // all this is there: others may look
	request  request
	route    *route.Route
	upstream *upstream

	follower callevent.Follower // guarded by mu once the call is routed; nil: nobody follows

	down h2.Stream // has locks of its own

	mu sync.Mutex
	// Guarded by mu.
	try      *attempt // the one under way; nil before and between
	first    attempt
	kept     *kept             // nil once a second try is out of the question
	copy     *mirror           // nil unless there is one
	times    *timing           // nil unless the route has the call do something at a time
	endpoint *backend.Endpoint // of the latest attempt; nil if none was opened
	attempts int               // that were opened
	retries  uint8             // attempts that went before, as the route wants it
	retried  bool              // unseen, because the first was not processed
	answered bool              // response headers were passed on
	reported bool              // the status is decided
	upEnd    bool              // END_STREAM came from the caller
	hasCode  bool              // of the status
	code     uint32
	detail   string
	scan     [2]messageScanner
	traffic  [2]callevent.Traffic
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
	c.id = c.conn.relay.lastCall.Add(1)
	c.tables = c.conn.relay.enter()
	c.request = readRequest(fields)
	c.upEnd = end
	if o := c.conn.relay.opts.Observer; o != nil {
		c.follower = o.Begin(callevent.Call{
			ID: c.id, At: b.Now, Peer: c.conn.caller.Peer, Identity: c.conn.caller.Identity, Path: c.request.path, Authority: c.request.authority,
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
	c.begun.Store(true)
}

// begin routes the call and sends it on its way.
func (c *Call) begin(b *h2.Batch, fields []h2.Field, end bool) {
	caller := &c.conn.caller
	if caller.IdentityMetadata != "" {
		fields = caller.introduce(fields)
	}
	c.route = c.tables.rules.Routes.FindAs(caller.Identity, c.request.path, c.request.authority, fields)
	switch {
	case c.route == nil:
		c.refuse(b, &refusal{codes.Unimplemented, ReasonNoRoute, "no route for " + c.request.path})
		return
	case c.route.Rule.Deny != 0:
		c.refuse(b, &refusal{codes.Code(c.route.Rule.Deny), ReasonDenied,
			"denied by route " + strconv.Quote(c.route.Rule.Name)})
		return
	}
	c.allow(b)
	br, rejected := c.admit(b)
	c.upstream = br.upstream
	if f := c.tell(); f != nil {
		f.Routed(b.Now, c.routeName(), c.backendName())
	}
	if rejected != nil {
		c.mu.Lock()
		c.reject(b, br, rejected)
		c.mu.Unlock()
		return
	}
	fields = c.rewrite(fields)
	c.mirror(b, fields, end)
	c.kept = newKept(c.upstream.rename(fields))
	c.kept.end = end
	c.try = &c.first
	c.bound(b)
	c.dispatch(b, pickOf(c.upstream.HashMetadata(), fields))
}

// dispatch finds the attempt a connection. No lock is held.
func (c *Call) dispatch(b *h2.Batch, p backend.Pick) {
	if err := c.upstream.Open(b, c, p); err != nil {
		c.Refused(b, err)
	}
}

// Data brings bytes of the request.
func (d *downLeg) Data(b *h2.Batch, _ *h2.Stream, p []byte, end bool) {
	c := (*Call)(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.upEnd = c.upEnd || end
	up := c.up()
	if up == nil && c.kept == nil {
		c.down.Discard(b, len(p))
		if end && !c.reported {
			c.answerNotGRPC(b)
		}
		return
	}
	c.pass(b, callevent.Up, p)
	c.copy.send(b, p, end)
	if c.kept != nil && !c.keep(b, up != nil, p, end) {
		return
	}
	if up != nil {
		up.Send(b, p, end, &c.down)
	}
}

// keep adds to what is kept of the request; taken says that an attempt takes
// it. It reports false when the call ended because there is no room for bytes
// that nobody has taken.
func (c *Call) keep(b *h2.Batch, taken bool, p []byte, end bool) bool {
	k := c.kept
	k.end = end
	most := c.tables.rules.KeptRequest
	if !taken {
		// The stream's window bounds what can come before an attempt takes it.
		most += c.conn.caller.H2.Limits.MaxWindow
	}
	if (!taken || !k.hopeless(p, most)) && k.add(p, most, c.conn.relay.opts.H2.Budget) {
		if !taken {
			k.unsent += len(p)
		}
		return true
	}
	if taken {
		c.conn.relay.opts.Counters.KeptRequests.Add(1)
		c.release(b)
		return true
	}
	c.down.Discard(b, len(p))
	c.answer(b, &refusal{codes.ResourceExhausted, ReasonOutOfBuffer, "no room to hold the request until there is a connection"})
	return false
}

func (c *Call) requestTrailers(b *h2.Batch, fields []h2.Field) {
	if c.conn.caller.IdentityMetadata != "" {
		fields = c.conn.caller.silence(fields)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.upEnd = true
	if c.upstream == nil && !c.reported {
		c.answerNotGRPC(b)
		return
	}
	c.copy.send(b, nil, true)
	if c.kept != nil {
		c.kept.end = true
		c.kept.trailers = fields
	}
	if up := c.up(); up != nil {
		up.SendHeaders(b, fields, true)
	}
}

// Ended says that the caller's stream ended early: the backend hears at once.
func (d *downLeg) Ended(b *h2.Batch, e h2.End) {
	c := (*Call)(d)
	c.mu.Lock()
	if up := c.up(); up != nil {
		code := h2.CodeCancel
		if e.Cause == h2.CausePeer {
			code = e.Code
		}
		up.Reset(b, code)
	}
	waiting := c.waits()
	if !c.reported {
		c.lost(b, e)
	}
	c.try = nil
	c.release(b)
	c.mu.Unlock()
	if waiting {
		c.upstream.Forget(c)
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
		if c.late(b) && !c.ours {
			c.code, ender = uint32(codes.DeadlineExceeded), callevent.ByDeadline
			c.overdue(b, "the caller's deadline passed")
		}
		c.report(b, ender, "")
	}
}

// unreachable is what the caller hears when there is no connection, and why.
func (c *Call) unreachable(err error) *refusal {
	r := &refusal{codes.Unavailable, ReasonUnreachable, "backend " + strconv.Quote(c.backendName()) + ": " + err.Error()}
	switch {
	case errors.Is(err, backend.ErrPendingFull), errors.Is(err, backend.ErrConcurrent):
		r.reason = ReasonLimit
	case errors.Is(err, backend.ErrStopped):
		r.reason = ReasonBackendRemoved
	case errors.Is(err, backend.ErrDrained):
		r.reason = ReasonBackendDrained
	}
	return r
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
	ender := callevent.ByLoom
	switch r.reason {
	case ReasonBackendLost:
		ender = callevent.ByBackendLost
	case ReasonDeadline:
		ender = callevent.ByDeadline
	}
	c.reply(b, ender, r, r.trailersOnly(c.routeName(), c.backendName()))
}

// reply ends the call with r, which fields say.
func (c *Call) reply(b *h2.Batch, ender callevent.Ender, r *refusal, fields []h2.Field) {
	if up := c.up(); up != nil {
		up.Reset(b, h2.CodeCancel)
	}
	c.code, c.hasCode, c.detail = uint32(r.code), true, r.message
	if c.answered {
		fields = fields[2:] // without :status and content-type
	}
	if f := c.tell(); f != nil {
		f.Trailers(b.Now, fields)
	}
	c.down.SendHeaders(b, fields, true)
	if !c.upEnd {
		c.down.ResetAfter(b, h2.CodeNo)
	}
	c.report(b, ender, r.reason)
	c.try = nil
	c.release(b)
}

// release lets go of what is kept of the request.
func (c *Call) release(b *h2.Batch) {
	if c.kept == nil {
		return
	}
	c.down.Discard(b, c.kept.unsent)
	c.kept.free(c.conn.relay.opts.H2.Budget)
	c.kept = nil
}

// routing is the route of the call at work.
func (c *Call) routing() *routing { return c.tables.routes[c.route.Index] }

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
	if c.upstream == nil {
		return ""
	}
	return c.upstream.Name()
}
