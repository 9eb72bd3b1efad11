package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"loom/bench/internal/row"
)

const (
	// replyTimeout bounds the wait for replies beyond the duration of a load.
	replyTimeout = 10 * time.Second
	// startDelay lets all workers be ready for the first request at a fixed rate.
	startDelay = 50 * time.Millisecond
)

// Session holds a row's connections, with its streams if it has some, ready for
// load: each has served a first request. It is used by one goroutine.
type Session struct {
	row     row.Row
	conns   []*grpc.ClientConn
	cancel  context.CancelFunc // ends the streams
	callers []caller
}

// Open makes a session. It ends with ctx, at the latest with Close.
func Open(ctx context.Context, addr string, r row.Row) (*Session, error) {
	conns, err := dial(ctx, addr, r.Conns)
	if err != nil {
		return nil, fmt.Errorf("open %d connections: %w", r.Conns, err)
	}
	s := &Session{row: r, conns: conns}
	if err := s.openCallers(ctx); err != nil {
		err = fmt.Errorf("first requests on %d x %d streams: %w", r.Conns, r.Streams, err)
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Session) openCallers(ctx context.Context) error {
	ctx, s.cancel = context.WithCancel(ctx)
	// A stream that gets no reply ends with its context.
	stuck := time.AfterFunc(replyTimeout, s.cancel)
	defer stuck.Stop()
	var err error
	if s.callers, err = callers(ctx, s.conns, s.row); err != nil {
		return err
	}
	for _, call := range s.callers {
		if err := call(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close ends all streams and connections.
func (s *Session) Close() error {
	if s.cancel != nil {
		s.cancel()
	}
	return hangUp(s.conns)
}

// PingPong keeps the row's requests under way for the duration: each caller
// makes its next one when the reply is there. After an error the session is of
// no more use.
func (s *Session) PingPong(ctx context.Context, d time.Duration) (Count, error) {
	var done atomic.Int64
	start := time.Now()
	err := s.together(ctx, d, func(ctx context.Context, _ int, call caller) error {
		for time.Since(start) < d {
			if err := call(ctx); err != nil {
				return err
			}
			done.Add(1)
		}
		return nil
	})
	if err != nil {
		return Count{}, err
	}
	return Count{Requests: int(done.Load()), Elapsed: time.Since(start)}, nil
}

// AtRate makes requests at a fixed rate (each second) for the duration, and
// returns the latency of each in seconds, counted from its intended start.
// After an error the session is of no more use.
func (s *Session) AtRate(ctx context.Context, rate float64, d time.Duration) ([]float64, error) {
	start := time.Now().Add(startDelay)
	plan := Schedule{Start: start, End: start.Add(d), Rate: rate, Workers: len(s.callers)}
	each := make([][]float64, len(s.callers))
	err := s.together(ctx, startDelay+d, func(ctx context.Context, i int, call caller) error {
		var err error
		each[i], err = work(ctx, call, plan, i)
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.Concat(each...), nil
}

// together runs all callers at once. Should they take much longer than the
// duration, or ctx end, the streams end too.
func (s *Session) together(ctx context.Context, d time.Duration, do func(context.Context, int, caller) error) error {
	ctx, cancel := context.WithTimeout(ctx, d+replyTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, s.cancel)()
	group, ctx := errgroup.WithContext(ctx)
	for i, call := range s.callers {
		group.Go(func() error { return do(ctx, i, call) })
	}
	return group.Wait()
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
