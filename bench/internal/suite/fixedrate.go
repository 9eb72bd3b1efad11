package suite

import (
	"context"
	"errors"
	"fmt"
	"math"

	"loom/bench/internal/load"
	"loom/bench/internal/peer"
	"loom/bench/internal/stats"
)

// fixedRate measures the latency of every peer at the same rate: half of what
// the slowest of them took at saturation.
func (s *suite) fixedRate(ctx context.Context, l *Load) error {
	slowest := math.Inf(1)
	for _, c := range l.Cells {
		slowest = min(slowest, stats.Median(c.PerSecond))
	}
	l.FixedRate = math.Floor(slowest / 2)
	if l.FixedRate < 1 {
		return fmt.Errorf("row %s: the slowest peer made %.1f requests a second; too few for a fixed rate", l.Row.Name, slowest)
	}
	peers := s.fleet.Peers()
	for run := range s.opts.LatencyRuns {
		s.say("row %s: %.0f requests a second, run %d of %d", l.Row.Name, l.FixedRate, run+1, s.opts.LatencyRuns)
		for _, i := range turn(len(peers), run) {
			if err := s.fixedRateOnce(ctx, peers[i], l, &l.Cells[i]); err != nil {
				return fmt.Errorf("row %s, %s: %w", l.Row.Name, peers[i].Name, err)
			}
		}
	}
	return nil
}

func (s *suite) fixedRateOnce(ctx context.Context, p *peer.Peer, l *Load, c *Cell) (err error) {
	session, err := load.Open(ctx, p.Addr, l.Row)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	before, err := p.CPU()
	if err != nil {
		return err
	}
	latencies, err := session.AtRate(ctx, l.FixedRate, s.opts.Duration)
	if err != nil {
		return err
	}
	after, err := p.CPU()
	if err != nil {
		return err
	}
	c.FixedCPU = append(c.FixedCPU, perRequest(after-before, len(latencies)))
	c.P50 = append(c.P50, stats.Quantile(latencies, 0.50))
	c.P99 = append(c.P99, stats.Quantile(latencies, 0.99))
	return nil
}
