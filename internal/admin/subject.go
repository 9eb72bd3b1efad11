package admin

import (
	"go.uber.org/zap"

	loomv1 "loom/api/loom/v1"
)

// subject says what a request was about, for the log.
func subject(req any) []zap.Field {
	switch q := req.(type) {
	case *loomv1.DrainEndpointRequest:
		return []zap.Field{zap.String("backend", q.GetBackend()), zap.String("endpoint", q.GetEndpoint())}
	case *loomv1.UndrainEndpointRequest:
		return []zap.Field{zap.String("backend", q.GetBackend()), zap.String("endpoint", q.GetEndpoint())}
	case *loomv1.ControlBreakerRequest:
		return []zap.Field{zap.String("backend", q.GetBackend()), zap.Stringer("action", q.GetAction())}
	case *loomv1.ReplayCallRequest:
		return []zap.Field{zap.String("call", q.GetId()), zap.Stringer("target", q.GetTarget()), zap.String("backend", q.GetBackend())}
	case *loomv1.SetCaptureModeRequest:
		return []zap.Field{zap.Stringer("mode", q.GetMode())}
	case *loomv1.ProfileRequest:
		return []zap.Field{zap.Stringer("kind", q.GetKind())}
	}
	return nil
}
