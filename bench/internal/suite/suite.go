package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"loom/bench/internal/echo"
	"loom/bench/internal/load"
	"loom/bench/internal/mixed"
	"loom/bench/internal/peer"
	"loom/bench/internal/row"
	"loom/bench/internal/verify"
)

// tries is how often a load is begun: a machine that stands still for a moment
// must not spoil all runs before, a proxy that hangs must.
const tries = 3

// mixedSeed makes the mixed row do the same in every run of the bench.
const mixedSeed = 1

// suite is one run of the bench. It is used by one goroutine.
type suite struct {
	opts     Options
	fleet    *peer.Fleet
	progress io.Writer
}

// Run starts the peers, checks that each answers rightly, measures, and ends
// them. What is being done is written to progress, a line for each step.
func Run(ctx context.Context, opts Options, progress io.Writer) (res Result, err error) {
	if opts.LatencyRuns > 0 && !slices.Contains(opts.Peers, peer.Direct) {
		return Result{}, fmt.Errorf("added latency needs the peer %q", peer.Direct)
	}
	fleet, err := peer.Start(ctx, opts.Peers, opts.Loomd, opts.Dir)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, fleet.Stop()) }()
	s := &suite{opts: opts, fleet: fleet, progress: progress}
	for _, p := range fleet.Peers() {
		res.Versions = append(res.Versions, Version{Peer: p.Name, Text: p.Version})
		s.say("check the replies of %s", p.Name)
		if err := verify.Replies(ctx, p.Addr); err != nil {
			return Result{}, fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	for _, r := range opts.Rows {
		if err := s.measure(ctx, r, &res); err != nil {
			return Result{}, errors.Join(err, fleet.Check())
		}
	}
	return res, nil
}

func (s *suite) measure(ctx context.Context, r row.Row, res *Result) (err error) {
	switch r.Kind {
	case row.Idle:
		res.IdleRow = r
		res.Idle, err = s.idle(ctx, r)
		return err
	case row.Steady, row.Mixed:
		return s.loomdAlone(ctx, r, res)
	}
	l, err := s.load(ctx, r)
	if err != nil {
		return err
	}
	res.Loads = append(res.Loads, l)
	return nil
}

// loomdAlone runs a row that looks for faults in loomd and compares nothing.
func (s *suite) loomdAlone(ctx context.Context, r row.Row, res *Result) (err error) {
	peers := s.fleet.Peers()
	at := slices.IndexFunc(peers, func(p *peer.Peer) bool { return p.Name == peer.Loomd })
	if at < 0 {
		s.say("row %s: is about loomd, which is not among the peers", r.Name)
		return nil
	}
	if r.Kind == row.Steady {
		res.Steady, err = s.steady(ctx, peers[at], r)
		return err
	}
	s.say("row %s: %v", r.Name, s.opts.MixedFor)
	tally := mixed.Run(ctx, peers[at].Addr, r.Conns, r.Streams, s.opts.MixedFor, mixedSeed)
	res.Mixed = &tally
	return ctx.Err()
}

func (s *suite) load(ctx context.Context, r row.Row) (Load, error) {
	l, err := s.saturate(ctx, r)
	if err != nil {
		return Load{}, err
	}
	if err := s.countAllocs(ctx, &l); err != nil {
		return Load{}, err
	}
	if s.opts.LatencyRuns == 0 {
		return l, nil
	}
	if err := s.fixedRate(ctx, &l); err != nil {
		return Load{}, err
	}
	return l, nil
}

// driver puts as much load on a peer as it takes, for a time.
type driver func(context.Context, time.Duration) (load.Count, error)

// driver returns what drives a row on a peer, and what to do when done with it.
func (s *suite) driver(ctx context.Context, p *peer.Peer, r row.Row) (driver, func() error, error) {
	if r.Kind == row.Bidi {
		session, err := load.Open(ctx, p.Addr, r)
		if err != nil {
			return nil, nil, err
		}
		return session.PingPong, session.Close, nil
	}
	file, err := s.payload(r.Body)
	if err != nil {
		return nil, nil, err
	}
	drive := func(ctx context.Context, d time.Duration) (c load.Count, err error) {
		for range tries {
			c, err = load.H2Load(ctx, p.Addr, r, file, d)
			// That a request fails is news if it is ours that fails it.
			again := errors.Is(err, load.ErrNothingDone) || errors.Is(err, load.ErrStuck) || errors.Is(err, load.ErrFailed) && !p.Reports()
			if !again {
				break
			}
			s.say("row %s, %s: no result in %v; once more", r.Name, p.Name, d)
		}
		return c, err
	}
	return drive, func() error { return nil }, nil
}

// payload returns a file with one framed message, made when it is first asked for.
func (s *suite) payload(body int) (string, error) {
	file := filepath.Join(s.opts.Dir, fmt.Sprintf("message-%d", body))
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.WriteFile(file, echo.Framed(echo.Message(echo.Body(body))), 0o600); err != nil {
		return "", fmt.Errorf("write payload: %w", err)
	}
	return file, nil
}

func (s *suite) say(format string, args ...any) {
	fmt.Fprintf(s.progress, "bench: "+format+"\n", args...)
}

// turn is the order in which n peers are measured in a run: odd runs go backward.
func turn(n, run int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	if run%2 == 1 {
		slices.Reverse(order)
	}
	return order
}
