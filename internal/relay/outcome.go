package relay

import (
	"google.golang.org/grpc/codes"

	"loom/internal/backend"
	"loom/internal/h2"
)

// done tells the endpoint how the attempt that it took ended, once. The lock
// is held.
func (c *Call) done(b *h2.Batch, o backend.Outcome) {
	if c.open {
		c.open = false
		c.endpoint.Done(b.Now, o)
	}
}

// outcome is what the status of a response says about the endpoint.
func (c *Call) outcome(b *h2.Batch) backend.Outcome {
	switch codes.Code(c.code) {
	case codes.DeadlineExceeded:
		if c.late(b) {
			return backend.Neither // it kept the caller's deadline
		}
		return backend.Bad
	case codes.Unavailable, codes.Internal, codes.Unknown, codes.DataLoss:
		return backend.Bad
	}
	if !c.hasCode {
		return backend.Bad
	}
	return backend.Good
}

// endOutcome is what the early end of the upstream stream says about the
// endpoint.
func (c *Call) endOutcome(b *h2.Batch, e h2.End) backend.Outcome {
	switch e.Cause {
	case h2.CauseRefused, h2.CauseStall, h2.CauseBudget:
		return backend.Neither // it did not begin, or loom gave it up
	case h2.CausePeer:
		if e.Code == h2.CodeCancel && c.late(b) {
			return backend.Neither
		}
	}
	return backend.Bad
}
