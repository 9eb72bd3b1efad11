package adminclient

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	loomv1 "loom/api/loom/v1"
)

const (
	// returnTime is how long a loomd may take to come back when the stream of
	// its calls ends. After a hot restart the next process answers at once; one
	// that crashed is started anew by whoever looks after it.
	returnTime = 5 * time.Second
	// returnPause lies between two tries.
	returnPause = 50 * time.Millisecond
	// missedRows is how many calls are looked through for those that ended
	// while nobody listened: as many as one answer may have.
	missedRows = 10_000
	// toldCalls is how many calls are remembered, so as to tell of each once.
	toldCalls = 2 * missedRows
)

// Follow hands each answer about calls that ended to take, until that returns
// an error, which Follow then returns, or ctx ends. When the process at the
// other end goes, as in a hot restart, it goes on with the one that follows,
// which has the calls that ended in between. It calls returned first then.
func (c *Client) Follow(ctx context.Context, filter string, take func(*loomv1.WatchCallsResponse) error, returned func()) error {
	begun := time.Now()
	t := &told{ids: make(map[string]bool)}
	stream, err := c.watch(ctx, filter)
	for err == nil {
		var a *loomv1.WatchCallsResponse
		var since time.Time
		a, err = stream.Recv()
		if status.Code(err) == codes.Unavailable && ctx.Err() == nil {
			if stream, a, err = c.again(ctx, filter, err); err == nil {
				since = begun
				returned()
			}
		}
		if err == nil {
			a.Calls = t.fresh(a.GetCalls(), since)
			err = take(a)
		}
	}
	return err
}

// watch opens a stream of calls. It returns when the stream tells of all that
// happens from then on.
func (c *Client) watch(ctx context.Context, filter string) (loomv1.Admin_WatchCallsClient, error) {
	stream, err := c.WatchCalls(ctx, &loomv1.WatchCallsRequest{Filter: filter, Ended: true})
	if err == nil {
		_, err = stream.Recv()
	}
	return stream, err
}

// again opens the stream anew, for as long as a loomd may take to come back,
// and returns the calls that are kept. It gives up with the error that lost is.
func (c *Client) again(ctx context.Context, filter string, lost error) (loomv1.Admin_WatchCallsClient, *loomv1.WatchCallsResponse, error) {
	pause := time.NewTicker(returnPause)
	defer pause.Stop()
	for end := time.Now().Add(returnTime); time.Now().Before(end); {
		c.conn.ResetConnectBackoff()
		stream, err := c.watch(ctx, filter)
		if err == nil {
			var a *loomv1.ListCallsResponse
			if a, err = c.ListCalls(ctx, &loomv1.ListCallsRequest{Filter: filter, Limit: missedRows}); err == nil {
				return stream, &loomv1.WatchCallsResponse{Calls: a.GetCalls()}, nil
			}
		}
		if status.Code(err) != codes.Unavailable {
			return nil, nil, err
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
	return nil, nil, lost
}

// told remembers the newest calls that somebody was told of.
type told struct {
	ids  map[string]bool
	ring []string
	next int
}

// fresh returns those rows whose calls have ended since then, and that were not
// told of.
func (t *told) fresh(rows []*loomv1.CallSummary, since time.Time) []*loomv1.CallSummary {
	var out []*loomv1.CallSummary
	for _, row := range rows {
		ended := time.UnixMicro(row.GetAt() + row.GetTook())
		if row.GetState() != loomv1.CallState_CALL_STATE_ENDED || ended.Before(since) || t.ids[row.GetId()] {
			continue
		}
		if len(t.ring) < toldCalls {
			t.ring = append(t.ring, "")
		}
		delete(t.ids, t.ring[t.next])
		t.ids[row.GetId()], t.ring[t.next] = true, row.GetId()
		t.next = (t.next + 1) % toldCalls
		out = append(out, row)
	}
	return out
}
