package suite

import (
	"context"
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
				return Load{}, err
			}
		}
	}
	return l, nil
}

func (s *suite) saturateOnce(ctx context.Context, p *peer.Peer, r row.Row, c *Cell) error {
	if _, err := s.drive(ctx, p, r, s.opts.WarmUp); err != nil {
		return err
	}
	before, err := p.CPU()
	if err != nil {
		return err
	}
	count, err := s.drive(ctx, p, r, s.opts.Duration)
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
		before, err := p.Settle(ctx)
		if err != nil {
			return err
		}
		count, err := s.drive(ctx, p, l.Row, s.opts.Duration/4)
		if err != nil {
			return err
		}
		after, err := p.Settle(ctx)
		if err != nil {
			return err
		}
		l.Cells[i].Allocs = float64(after.Mallocs-before.Mallocs) / float64(count.Requests)
	}
	return nil
}
