package admin

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	loomv1 "loom/api/loom/v1"
	"loom/internal/decode"
	"loom/internal/inspector"
)

// ListCalls returns the newest kept calls that a filter wants.
func (s *Server) ListCalls(ctx context.Context, q *loomv1.ListCallsRequest) (*loomv1.ListCallsResponse, error) {
	limit := int(q.GetLimit())
	switch {
	case limit == 0:
		limit = defaultRows
	case limit < 0 || limit > maxRows:
		return nil, status.Errorf(codes.InvalidArgument, "the limit is from 1 to %d", maxRows)
	}
	rows, partial, err := s.opts.Records.Select(ctx, q.GetFilter(), limit)
	if err != nil {
		return nil, recordFailure(err)
	}
	return &loomv1.ListCallsResponse{Calls: rows, Partial: partial}, nil
}

// GetCall returns the record of a call with its messages decoded.
func (s *Server) GetCall(ctx context.Context, q *loomv1.GetCallRequest) (*loomv1.GetCallResponse, error) {
	d, err := s.opts.Records.Describe(ctx, q.GetId())
	if err != nil {
		return nil, recordFailure(err)
	}
	out := &loomv1.GetCallResponse{Call: d.Call, Verdict: d.Verdict, Source: d.Source, StatusDetails: string(d.Details)}
	for i := range d.Messages {
		out.Messages = append(out.Messages, decoded(&d.Messages[i]))
	}
	// The record is a copy of our own; its bytes have been shown.
	for _, m := range d.Call.GetMessages() {
		m.Data = nil
	}
	return out, nil
}

func decoded(m *inspector.Shown) *loomv1.DecodedMessage {
	return &loomv1.DecodedMessage{
		Direction: m.Message.GetDirection(), Sequence: m.Message.GetSequence(), At: m.Message.GetFirstByte(), Size: m.Message.GetSize(),
		Json: string(m.JSON), Type: m.Type, Problem: m.Problem,
	}
}

// ReplayCall makes a recorded call again.
func (s *Server) ReplayCall(ctx context.Context, q *loomv1.ReplayCallRequest) (*loomv1.ReplayCallResponse, error) {
	how := inspector.Repeat{Backend: q.GetBackend(), RecordedTiming: q.GetRecordedTiming()}
	switch q.GetTarget() {
	case loomv1.ReplayTarget_REPLAY_TARGET_UNSPECIFIED, loomv1.ReplayTarget_REPLAY_TARGET_ROUTE:
	case loomv1.ReplayTarget_REPLAY_TARGET_DIRECT:
		how.Direct = true
	default:
		return nil, status.Error(codes.InvalidArgument, "the target is route or direct")
	}
	if d := q.GetDeadline(); d != nil {
		if err := d.CheckValid(); err != nil || d.AsDuration() < 0 {
			return nil, status.Error(codes.InvalidArgument, "the deadline is no time from now")
		}
		how.Deadline = d.AsDuration()
	}
	r, err := s.opts.Records.Repeat(ctx, q.GetId(), how)
	if err != nil {
		return nil, recordFailure(err)
	}
	return &loomv1.ReplayCallResponse{
		Id: r.ID, Note: r.Note, Status: &loomv1.Status{Code: r.Code, Message: r.Message}, Changes: jsonChanges(r.Changes),
	}, nil
}

func jsonChanges(changes []decode.Change) []*loomv1.JSONChange {
	var out []*loomv1.JSONChange
	for _, c := range changes {
		out = append(out, &loomv1.JSONChange{Path: c.Path, Kind: c.Kind, Old: string(c.Old), New: string(c.New)})
	}
	return out
}

// GetInspectorURL returns where the web inspector is.
func (s *Server) GetInspectorURL(context.Context, *loomv1.GetInspectorURLRequest) (*loomv1.GetInspectorURLResponse, error) {
	url := s.opts.InspectorURL()
	if url == "" {
		return nil, status.Error(codes.FailedPrecondition, "this loomd has no inspector: give it inspector.address, or -inspector")
	}
	return &loomv1.GetInspectorURLResponse{Url: url}, nil
}
