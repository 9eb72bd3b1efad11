package relay

import (
	"strconv"

	"google.golang.org/grpc/codes"

	"loom/internal/backend"
	"loom/internal/h2"
)

// outcome is the verdict as the endpoint hears it.
func (v Verdict) outcome() backend.Outcome {
	switch v {
	case Success:
		return backend.Good
	case Failure:
		return backend.Bad
	default:
		return backend.Neither
	}
}

// result is the gRPC status that an attempt ended with.
type result struct {
	code   codes.Code
	has    bool   // the backend gave one
	detail string // grpc-message
}

// readResult takes the status out of the block that ends a response.
func readResult(fields []h2.Field) result {
	r := result{code: codes.Unknown}
	for i := range fields {
		switch f := &fields[i]; f.Name {
		case ":status":
			if f.Value != "200" && !r.has {
				r.code = httpCode(f.Value)
			}
		case "grpc-status":
			if n, err := strconv.ParseUint(f.Value, 10, 32); err == nil {
				r.code, r.has = codes.Code(n), true
			}
		case "grpc-message":
			r.detail = f.Value
		}
	}
	return r
}

// httpCode is what clients make of an HTTP status without a grpc-status
// (gRPC's http-grpc-status-mapping).
func httpCode(status string) codes.Code {
	switch status {
	case "400":
		return codes.Internal
	case "401":
		return codes.Unauthenticated
	case "403":
		return codes.PermissionDenied
	case "404":
		return codes.Unimplemented
	case "429", "502", "503", "504":
		return codes.Unavailable
	default:
		return codes.Unknown
	}
}

// why says for people what the backend answered.
func (r result) why() string {
	if r.detail == "" {
		return r.code.String()
	}
	return r.code.String() + ": " + decodeMessage(r.detail)
}

// answerVerdict is what a complete answer says about the backend. Any status
// that does not count against it shows that it does its work.
func (c *Call) answerVerdict(b *h2.Batch, r result) Verdict {
	switch {
	case !c.upstream.counts(r.code):
		return Success
	case r.code == codes.DeadlineExceeded:
		return c.deadlineVerdict(b)
	default:
		return Failure
	}
}

// deadlineVerdict is what it says about the backend that the time was over.
func (c *Call) deadlineVerdict(b *h2.Batch) Verdict {
	if !c.upstream.counts(codes.DeadlineExceeded) {
		return Excluded
	}
	if c.ours && c.late(b) {
		return Failure // loom itself allowed no more
	}
	had := b.Now.Sub(c.started)
	if c.allowed > 0 {
		had = min(had, c.allowed)
	}
	// A deadline of 1 s is a little less by the time that it comes here.
	if least := c.upstream.policy.MinDeadline; had-c.try.began < least-least/20 {
		return Excluded
	}
	return Failure
}

// endVerdict is what the early end of the upstream stream says about the
// backend.
func (c *Call) endVerdict(b *h2.Batch, e *h2.End) Verdict {
	switch e.Cause {
	case h2.CauseStall, h2.CauseBudget:
		return Excluded // loom gave it up
	case h2.CausePeer:
		if e.Code == h2.CodeCancel && c.late(b) {
			return c.deadlineVerdict(b) // it keeps the deadline, too
		}
	}
	return Failure
}

// endCode is what clients make of a stream that ended early (gRPC over
// HTTP/2, "Errors").
func endCode(e *h2.End) codes.Code {
	switch {
	case e.Cause == h2.CauseLost, e.Err != nil:
		return codes.Unavailable
	case e.Cause == h2.CauseFault:
		return codes.Internal
	}
	switch e.Code {
	case h2.CodeRefusedStream:
		return codes.Unavailable
	case h2.CodeCancel:
		return codes.Canceled
	case h2.CodeEnhanceYourCalm:
		return codes.ResourceExhausted
	case h2.CodeInadequateSecurity:
		return codes.PermissionDenied
	default:
		return codes.Internal
	}
}
