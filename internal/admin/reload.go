package admin

import (
	"context"
	"errors"

	"google.golang.org/grpc/status"

	loomv1 "loom/api/loom/v1"
)

// Reload has a fresh process take over, and tells what goes on.
func (s *Server) Reload(_ *loomv1.ReloadRequest, to loomv1.Admin_ReloadServer) error {
	ctx := to.Context()
	next, err := s.opts.Control.Reload(ctx, callerOf(ctx).String()+" with loomctl", func(line string) error {
		return to.Send(&loomv1.ReloadResponse{Progress: line})
	})
	switch {
	case err == nil:
		return to.Send(&loomv1.ReloadResponse{Successor: &loomv1.Generation{Number: uint32(next.Number), Pid: int32(next.PID), Serving: true}})
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	}
	if _, ok := status.FromError(err); ok {
		return err // it could not be told
	}
	return failure(err)
}
