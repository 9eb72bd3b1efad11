package admin

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
)

// toldCalls is how many calls that ended a stream remembers, so as to tell of
// each once: a record may change a little after its call ended.
const toldCalls = 4096

// WatchCalls tells of calls as they happen. A caller who reads slowly holds up
// nobody else: what it is too slow for is counted as missed.
func (s *Server) WatchCalls(q *loomv1.WatchCallsRequest, to loomv1.Admin_WatchCallsServer) error {
	ctx := to.Context()
	matcher, err := s.opts.Records.Matcher(q.GetFilter())
	if err != nil {
		return recordFailure(err)
	}
	sub, err := s.opts.Store.Subscribe(0)
	if err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	defer sub.Close()
	if err := to.Send(&loomv1.WatchCallsResponse{}); err != nil {
		return err
	}
	told := newTold(toldCalls)
	for {
		batch, err := sub.Next(ctx)
		switch {
		case errors.Is(err, capture.ErrClosed):
			return status.Error(codes.Unavailable, "loomd is stopping")
		case err != nil:
			return status.FromContextError(err).Err()
		}
		rows := batch.Calls
		if q.GetEnded() {
			rows = told.fresh(rows)
		}
		wanted, unjudged := matcher.Match(ctx, rows)
		missed := batch.Missed + uint64(unjudged)
		if len(wanted) == 0 && missed == 0 {
			continue
		}
		if err := to.Send(&loomv1.WatchCallsResponse{Calls: wanted, Missed: missed}); err != nil {
			return err
		}
	}
}

// told remembers the newest calls that somebody was told of.
type told struct {
	ids  map[string]bool
	ring []string
	next int
}

func newTold(most int) *told {
	return &told{ids: make(map[string]bool, most), ring: make([]string, most)}
}

// fresh returns those of the rows that have ended and were not among the
// newest before.
func (t *told) fresh(rows []*loomv1.CallSummary) []*loomv1.CallSummary {
	var out []*loomv1.CallSummary
	for _, row := range rows {
		if row.GetState() != loomv1.CallState_CALL_STATE_ENDED || t.ids[row.GetId()] {
			continue
		}
		delete(t.ids, t.ring[t.next])
		t.ids[row.GetId()], t.ring[t.next] = true, row.GetId()
		t.next = (t.next + 1) % len(t.ring)
		out = append(out, row)
	}
	return out
}
