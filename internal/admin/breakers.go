package admin

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	loomv1 "loom/api/loom/v1"
	"loom/internal/inspector"
)

// ListBreakers returns the circuit breakers.
func (s *Server) ListBreakers(context.Context, *loomv1.ListBreakersRequest) (*loomv1.ListBreakersResponse, error) {
	out := &loomv1.ListBreakersResponse{}
	if s.opts.Panels.Breakers == nil {
		return out, nil
	}
	for _, b := range s.opts.Panels.Breakers() {
		out.Breakers = append(out.Breakers, breaker(&b))
	}
	return out, nil
}

// ControlBreaker does what an operator tells a breaker.
func (s *Server) ControlBreaker(ctx context.Context, q *loomv1.ControlBreakerRequest) (*loomv1.ControlBreakerResponse, error) {
	action := actionName(q.GetAction())
	if action == "" {
		return nil, status.Error(codes.InvalidArgument, "the action is open, close, auto or reset")
	}
	if err := s.opts.Control.ControlBreaker(q.GetBackend(), action, callerOf(ctx).String()); err != nil {
		return nil, failure(err)
	}
	if b := s.opts.Panels.Breaker(q.GetBackend()); b != nil {
		return &loomv1.ControlBreakerResponse{Breaker: breaker(b)}, nil
	}
	return nil, status.Errorf(codes.NotFound, "backend %q is gone", q.GetBackend())
}

// actionName is an action as people write it; empty if there is no such action.
func actionName(a loomv1.BreakerAction) string {
	switch a {
	case loomv1.BreakerAction_BREAKER_ACTION_OPEN:
		return "open"
	case loomv1.BreakerAction_BREAKER_ACTION_CLOSE:
		return "close"
	case loomv1.BreakerAction_BREAKER_ACTION_AUTO:
		return "auto"
	case loomv1.BreakerAction_BREAKER_ACTION_RESET:
		return "reset"
	}
	return ""
}

func breaker(b *inspector.BreakerView) *loomv1.Breaker {
	return &loomv1.Breaker{
		Backend: b.Backend, State: b.State, FailureRatio: b.FailureRatio, Since: moment(b.Since), NextProbe: moment(b.NextProbe),
		Verdicts: uint32(b.Verdicts), Consecutive: uint32(b.Consecutive), Openings: uint32(b.Openings), Probing: uint32(b.Probing),
		LastError: b.LastError, LastErrorAt: moment(b.LastErrorAt),
		Totals: &loomv1.BreakerTotals{
			Allowed: b.Totals.Allowed, Rejected: b.Totals.Rejected, Successes: b.Totals.Successes, Failures: b.Totals.Failures,
			Excluded: b.Totals.Excluded, Late: b.Totals.Late, Probes: b.Totals.Probes, ProbeTimeouts: b.Totals.ProbeTimeouts, Openings: b.Totals.Openings,
		},
	}
}

// moment is a time; nil for none.
func moment(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
