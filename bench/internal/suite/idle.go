package suite

import (
	"context"
	"errors"
	"fmt"

	"loom/bench/internal/load"
	"loom/bench/internal/peer"
	"loom/bench/internal/row"
)

// idle measures the memory that open connections and streams take. Each peer
// is started afresh: memory that an earlier load left free would hide the cost.
func (s *suite) idle(ctx context.Context, r row.Row) ([]Idle, error) {
	var all []Idle
	for _, p := range s.fleet.Peers() {
		if !p.Measured() {
			continue
		}
		s.say("row %s: %s", r.Name, p.Name)
		p, err := s.fleet.Restart(ctx, p)
		if err != nil {
			return nil, err
		}
		cost, err := s.idleOnce(ctx, p, r)
		if err != nil {
			return nil, fmt.Errorf("row %s, %s: %w", r.Name, p.Name, err)
		}
		all = append(all, cost)
	}
	return all, nil
}

func (s *suite) idleOnce(ctx context.Context, p *peer.Peer, r row.Row) (cost Idle, err error) {
	before, err := settledRSS(ctx, p)
	if err != nil {
		return Idle{}, err
	}
	held, err := load.OpenIdle(ctx, p.Addr, r)
	if err != nil {
		return Idle{}, err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	connected, err := settledRSS(ctx, p)
	if err != nil {
		return Idle{}, err
	}
	if err := held.OpenStreams(ctx); err != nil {
		return Idle{}, err
	}
	streaming, err := settledRSS(ctx, p)
	if err != nil {
		return Idle{}, err
	}
	return Idle{
		Peer:      p.Name,
		RSS:       streaming,
		PerConn:   (connected - before) / float64(r.Conns),
		PerStream: (streaming - connected) / float64(r.Conns*r.Streams),
	}, nil
}

func settledRSS(ctx context.Context, p *peer.Peer) (float64, error) {
	if _, err := p.Settle(ctx); err != nil {
		return 0, err
	}
	n, err := p.RSS()
	return float64(n), err
}
