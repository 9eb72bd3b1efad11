package relay

import (
	"strconv"

	"google.golang.org/grpc/codes"

	"loom/internal/backend"
	"loom/internal/callevent"
	"loom/internal/h2"
)

// upLeg is a call as the receiver of its upstream stream.
type upLeg Call

// Headers brings the response's headers, or its trailers.
func (u *upLeg) Headers(b *h2.Batch, kind h2.BlockKind, fields []h2.Field, end bool) {
	c := (*Call)(u)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.up == nil {
		return // loom has answered already
	}
	if kind == h2.BlockInterim {
		c.event(b, callevent.Event{Kind: callevent.Interim, Fields: fields})
		c.down.SendHeaders(b, fields, false)
		return
	}
	c.release(b)
	if end {
		c.readStatus(fields)
		c.event(b, callevent.Event{Kind: callevent.Trailers, Fields: fields})
	} else {
		c.event(b, callevent.Event{Kind: callevent.Headers, Fields: fields})
	}
	if kind == h2.BlockHeaders {
		c.answered = true
		if e := &c.route.Rule.Response; changes(e) {
			fields = edit(fields, e)
		}
	}
	c.down.SendHeaders(b, fields, end)
	if end {
		c.done(b, c.outcome(b))
		c.report(b, callevent.ByBackend, "")
	}
}

// Data brings bytes of the response.
func (u *upLeg) Data(b *h2.Batch, s *h2.Stream, p []byte, end bool) {
	c := (*Call)(u)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.up != s {
		s.Discard(b, len(p)) // loom has answered already
		return
	}
	c.pass(b, callevent.Down, p)
	c.down.Send(b, p, end, s)
	if end {
		c.done(b, backend.Bad) // it never gave a status
		c.report(b, callevent.ByBackend, "")
	}
}

// Ended says that the upstream stream ended early.
func (u *upLeg) Ended(b *h2.Batch, e h2.End) {
	c := (*Call)(u)
	c.mu.Lock()
	if c.up == nil {
		c.mu.Unlock()
		return
	}
	c.up = nil
	c.done(b, c.endOutcome(b, e))
	again := e.Cause == h2.CauseRefused && !c.reported && !c.answered && !c.retried && c.kept != nil
	if again {
		c.retried = true
	} else {
		c.backendEnded(b, e)
	}
	c.mu.Unlock()
	if again {
		c.dispatch(b)
	}
}

// backendEnded passes on how the upstream stream ended.
func (c *Call) backendEnded(b *h2.Batch, e h2.End) {
	switch {
	case c.reported:
		// The status is out. What is left is to stop the request, if the
		// backend wants no more of it.
		if !c.upEnd {
			code := h2.CodeNo
			if e.Err == nil {
				code = e.Code
			}
			c.down.ResetAfter(b, code)
		}
	case e.Cause == h2.CausePeer, e.Cause == h2.CauseRefused && e.Err == nil:
		c.down.ResetAfter(b, e.Code)
		c.detail = "RST_STREAM " + e.Code.String()
		ender := callevent.ByBackendReset
		if e.Code == h2.CodeCancel && c.late(b) {
			// The backend keeps the deadline, too, and was first.
			c.code, c.hasCode, ender = uint32(codes.DeadlineExceeded), true, callevent.ByDeadline
		}
		c.report(b, ender, "")
	case e.Cause == h2.CauseFault:
		c.answer(b, &refusal{codes.Internal, ReasonBackendFault, "the backend broke the protocol: " + e.Fault})
	case e.Cause == h2.CauseStall, e.Cause == h2.CauseBudget:
		c.down.Reset(b, h2.CodeCancel)
		c.report(b, callevent.ByLoom, stuckReason(e.Cause))
	default:
		message := "the connection to the backend was lost"
		if e.Err != nil {
			message += ": " + e.Err.Error()
		}
		c.answer(b, &refusal{codes.Unavailable, ReasonBackendLost, message})
	}
	c.release(b)
}

// stuckReason says why h2 gave up a stream that took nothing.
func stuckReason(cause h2.Cause) string {
	if cause == h2.CauseStall {
		return ReasonStalled
	}
	return ReasonOutOfBuffer
}

// Expired never comes: deadlines are set on the downstream stream.
func (u *upLeg) Expired(*h2.Batch) {}

// readStatus takes the status out of a block that ends the response.
func (c *Call) readStatus(fields []h2.Field) {
	for i := range fields {
		switch f := &fields[i]; f.Name {
		case "grpc-status":
			if n, err := strconv.ParseUint(f.Value, 10, 32); err == nil {
				c.code, c.hasCode = uint32(n), true
			}
		case "grpc-message":
			c.detail = f.Value
		}
	}
}
