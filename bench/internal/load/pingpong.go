package load

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"loom/bench/internal/row"
)

// replyTimeout bounds the wait for replies beyond the duration of a load.
const replyTimeout = 10 * time.Second

// PingPong keeps the row's requests under way for the duration: each caller
// sends its next one when the reply is there.
func PingPong(ctx context.Context, addr string, r row.Row, d time.Duration) (c Count, err error) {
	ctx, cancel := context.WithTimeout(ctx, d+replyTimeout)
	defer cancel()
	conns, err := dial(ctx, addr, r.Conns)
	if err != nil {
		return Count{}, err
	}
	defer func() { err = errors.Join(err, hangUp(conns)) }()
	all, err := callers(ctx, conns, r)
	if err != nil {
		return Count{}, err
	}
	var done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for _, call := range all {
		group.Go(func() error {
			for time.Since(start) < d {
				if err := call(ctx); err != nil {
					return fmt.Errorf("%s at %s: %w", r.Name, addr, err)
				}
				done.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Count{}, err
	}
	return Count{Requests: int(done.Load()), Elapsed: time.Since(start)}, nil
}
