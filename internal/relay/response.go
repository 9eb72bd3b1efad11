package relay

import (
	"google.golang.org/grpc/codes"

	"loom/internal/backend"
	"loom/internal/callevent"
	"loom/internal/h2"
)

// Headers brings the response's headers, or its trailers.
func (a *attempt) Headers(b *h2.Batch, kind h2.BlockKind, fields []h2.Field, end bool) {
	c := a.call
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.try != a {
		return // loom has answered already
	}
	if kind == h2.BlockInterim {
		if f := c.tell(); f != nil {
			f.Interim(b.Now, fields)
		}
		c.down.SendHeaders(b, fields, false)
		return
	}
	if end {
		r := readResult(fields)
		c.judged(b, r)
		if kind == h2.BlockHeaders && c.failedWith(b, r.code, fields) {
			return
		}
		if r.code == codes.DeadlineExceeded && c.ours && c.late(b) {
			c.deadlinePassed(b) // it was told of the route's time-out, and was first
			return
		}
		c.code, c.hasCode, c.detail = uint32(r.code), r.has, r.detail
		if f := c.tell(); f != nil {
			f.Trailers(b.Now, fields)
		}
	} else {
		a.begun(b, fields)
		if f := c.tell(); f != nil {
			f.Headers(b.Now, fields)
		}
	}
	c.release(b)
	if kind == h2.BlockHeaders {
		c.answered = true
		if e := &c.route.Rule.Response; changes(e) {
			fields = edit(fields, e)
		}
	}
	c.down.SendHeaders(b, fields, end)
	if end {
		c.report(b, callevent.ByBackend, "")
	}
}

// begun gives the verdict of a probe: an answer that begins is a good one.
func (a *attempt) begun(b *h2.Batch, fields []h2.Field) {
	if a.ticket.Probe && fields[0].Value == "200" {
		a.judge(b, Success, "")
	}
}

// judged settles the attempt whose answer is complete.
func (c *Call) judged(b *h2.Batch, r result) {
	v, why := c.answerVerdict(b, r), ""
	if v == Failure {
		why = r.why()
	}
	c.try.settle(b, v, why)
}

// Data brings bytes of the response.
func (a *attempt) Data(b *h2.Batch, s *h2.Stream, p []byte, end bool) {
	c := a.call
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.try != a {
		s.Discard(b, len(p)) // loom has answered already
		return
	}
	c.pass(b, callevent.Down, p)
	c.down.Send(b, p, end, s)
	if end {
		c.judged(b, result{code: codes.Unknown, detail: "no grpc-status"})
		c.report(b, callevent.ByBackend, "")
	}
}

// Ended says that the upstream stream ended early.
func (a *attempt) Ended(b *h2.Batch, e h2.End) {
	c := a.call
	c.mu.Lock()
	if c.try != a {
		c.mu.Unlock()
		return
	}
	var next backend.Pick
	again := e.Cause == h2.CauseRefused && !c.reported && !c.answered && !c.retried && c.kept != nil
	if again {
		c.retried = true
		c.try = a.again(b)
		next = pickOf(c.upstream.HashMetadata(), c.kept.fields)
	} else if !c.cutShort(b, &e) {
		c.passOn(b, &e)
		c.try = nil
		c.release(b)
	}
	c.mu.Unlock()
	if again {
		c.dispatch(b, next)
	}
}

// cutShort settles the attempt, and reports whether the call is tried again.
func (c *Call) cutShort(b *h2.Batch, e *h2.End) bool {
	if c.reported {
		return false
	}
	c.try.settle(b, c.endVerdict(b, e), endMessage(e))
	return e.Cause != h2.CauseStall && e.Cause != h2.CauseBudget && c.failedWith(b, endCode(e), nil)
}

// passOn passes on how the upstream stream ended.
func (c *Call) passOn(b *h2.Batch, e *h2.End) {
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
	case e.Cause == h2.CausePeer && e.Code == h2.CodeCancel && c.ours && c.late(b):
		c.deadlinePassed(b)
	case e.Cause == h2.CausePeer, e.Cause == h2.CauseRefused && e.Err == nil:
		c.down.ResetAfter(b, e.Code)
		c.detail = endMessage(e)
		ender := callevent.ByBackendReset
		if e.Code == h2.CodeCancel && c.late(b) {
			// The backend keeps the deadline, too, and was first.
			c.code, c.hasCode, ender = uint32(codes.DeadlineExceeded), true, callevent.ByDeadline
		}
		c.report(b, ender, "")
	case e.Cause == h2.CauseFault:
		c.answer(b, &refusal{codes.Internal, ReasonBackendFault, endMessage(e)})
	case e.Cause == h2.CauseStall, e.Cause == h2.CauseBudget:
		c.down.Reset(b, h2.CodeCancel)
		c.report(b, callevent.ByLoom, stuckReason(e.Cause))
	default:
		c.answer(b, &refusal{codes.Unavailable, ReasonBackendLost, endMessage(e)})
	}
}

// endMessage says for people how a stream ended early.
func endMessage(e *h2.End) string {
	switch {
	case e.Cause == h2.CausePeer, e.Cause == h2.CauseRefused && e.Err == nil:
		return "RST_STREAM " + e.Code.String()
	case e.Cause == h2.CauseFault:
		return "the backend broke the protocol: " + e.Fault
	case e.Cause == h2.CauseStall, e.Cause == h2.CauseBudget:
		return stuckReason(e.Cause)
	case e.Err != nil:
		return "the connection to the backend was lost: " + e.Err.Error()
	default:
		return "the connection to the backend was lost"
	}
}

// stuckReason says why h2 gave up a stream that took nothing.
func stuckReason(cause h2.Cause) string {
	if cause == h2.CauseStall {
		return ReasonStalled
	}
	return ReasonOutOfBuffer
}

// Expired never comes: deadlines are set on the downstream stream.
func (a *attempt) Expired(*h2.Batch) {}
