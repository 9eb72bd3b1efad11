package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"loom/bench/internal/row"
)

// settleTime is left between opening connections and the first timed request.
const settleTime = 200 * time.Millisecond

// OpenLoop makes requests at a fixed rate (each second) for the duration, and
// returns the latency of each in seconds, counted from its intended start.
func OpenLoop(ctx context.Context, addr string, r row.Row, rate float64, d time.Duration) (latencies []float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleTime+d+replyTimeout)
	defer cancel()
	conns, err := dial(ctx, addr, r.Conns)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, hangUp(conns)) }()
	all, err := warmCallers(ctx, conns, r)
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", r.Name, addr, err)
	}
	start := time.Now().Add(settleTime)
	s := Schedule{Start: start, End: start.Add(d), Rate: rate, Workers: len(all)}
	each := make([][]float64, len(all))
	group, ctx := errgroup.WithContext(ctx)
	for i, call := range all {
		group.Go(func() error {
			var err error
			each[i], err = work(ctx, call, s, i)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("%s at %s: %w", r.Name, addr, err)
	}
	return slices.Concat(each...), nil
}

// warmCallers makes one request with each caller, so that no first request on
// a connection is timed.
func warmCallers(ctx context.Context, conns []*grpc.ClientConn, r row.Row) ([]caller, error) {
	all, err := callers(ctx, conns, r)
	if err != nil {
		return nil, err
	}
	for _, call := range all {
		if err := call(ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// work makes the requests of one worker.
func work(ctx context.Context, call caller, s Schedule, worker int) ([]float64, error) {
	var latencies []float64
	for k := 0; ; k++ {
		intended, ok := s.Intended(worker, k)
		if !ok {
			return latencies, nil
		}
		if wait := time.Until(intended); wait > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(wait):
			}
		}
		if err := call(ctx); err != nil {
			return nil, err
		}
		latencies = append(latencies, time.Since(intended).Seconds())
	}
}
