package suite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"loom/bench/internal/peer"
	"loom/bench/internal/row"
)

// saturate measures every peer under as much load as it takes.
func (s *suite) saturate(ctx context.Context, r row.Row) (Load, error) {
	peers := s.fleet.Peers()
	l := Load{Row: r, Cells: make([]Cell, len(peers))}
	for i, p := range peers {
		l.Cells[i] = Cell{Peer: p.Name, Measured: p.Measured(), Allocs: math.NaN()}
	}
	for run := range s.opts.Runs {
		s.say("row %s: run %d of %d", r.Name, run+1, s.opts.Runs)
		for _, i := range turn(len(peers), run) {
			if err := s.saturateOnce(ctx, peers[i], r, &l.Cells[i]); err != nil {
				return Load{}, fmt.Errorf("row %s, %s: %w", r.Name, peers[i].Name, err)
			}
		}
	}
	return l, nil
}

func (s *suite) saturateOnce(ctx context.Context, p *peer.Peer, r row.Row, c *Cell) (err error) {
	drive, done, err := s.driver(ctx, p, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if _, err := drive(ctx, s.opts.WarmUp); err != nil {
		return err
	}
	before, err := p.CPU()
	if err != nil {
		return err
	}
	count, err := drive(ctx, s.opts.Duration)
	if err != nil {
		return err
	}
	after, err := p.CPU()
	if err != nil {
		return err
	}
	rss, err := p.RSS()
	if err != nil {
		return err
	}
	c.PerSecond = append(c.PerSecond, count.PerSecond())
	c.CPU = append(c.CPU, perRequest(after-before, count.Requests))
	c.RSS = append(c.RSS, float64(rss))
	return nil
}

// perRequest is in microseconds.
func perRequest(d time.Duration, requests int) float64 {
	return float64(d) / float64(time.Microsecond) / float64(requests)
}

// countAllocs counts the allocations of the peers that can tell. It is a run of
// its own because a garbage collection before and after would blur the others.
func (s *suite) countAllocs(ctx context.Context, l *Load) error {
	for i, p := range s.fleet.Peers() {
		if !p.Reports() || p.Name == peer.TCP {
			continue // the byte-copying proxy allocates for connections only
		}
		allocs, err := s.allocsOf(ctx, p, l.Row)
		if err != nil {
			return fmt.Errorf("row %s, %s: %w", l.Row.Name, p.Name, err)
		}
		l.Cells[i].Allocs = allocs
	}
	return nil
}

func (s *suite) allocsOf(ctx context.Context, p *peer.Peer, r row.Row) (allocs float64, err error) {
	drive, done, err := s.driver(ctx, p, r)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, done()) }()
	before, err := p.Settle(ctx)
	if err != nil {
		return 0, err
	}
	count, err := drive(ctx, s.opts.Duration/4)
	if err != nil {
		return 0, err
	}
	after, err := p.Settle(ctx)
	if err != nil {
		return 0, err
	}
	return float64(after.Mallocs-before.Mallocs) / float64(count.Requests), nil
}
