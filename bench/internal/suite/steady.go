package suite

import (
	"context"
	"fmt"

	"loom/bench/internal/load"
	"loom/bench/internal/peer"
	"loom/bench/internal/row"
)

// State is what a process holds when nothing is going on.
type State struct {
	FDs        int
	Goroutines int
	Heap       float64 // bytes in use after a collection
}

// Steady is what loomd holds before and after very many calls, and before and
// after very many connections.
type Steady struct {
	Calls, Connects int

	BeforeCalls, AfterCalls       State
	BeforeConnects, AfterConnects State
}

// warmPart is the part of calls and connections that is made beforehand, so
// that pools and tables have reached their sizes.
const warmPart = 10

func (s *suite) steady(ctx context.Context, p *peer.Peer, r row.Row) (*Steady, error) {
	st := &Steady{Calls: s.opts.SteadyCalls, Connects: s.opts.SteadyConnects}
	file, err := s.payload(r.Body)
	if err != nil {
		return nil, err
	}
	calls := func(n int) error {
		_, err := load.H2Calls(ctx, p.Addr, r, file, n)
		return err
	}
	connects := func(n int) error { return load.Connects(ctx, p.Addr, r, n) }

	s.say("row %s: %d calls", r.Name, st.Calls)
	st.BeforeCalls, st.AfterCalls, err = beforeAndAfter(ctx, p, st.Calls, calls)
	if err != nil {
		return nil, fmt.Errorf("row %s: %w", r.Name, err)
	}
	s.say("row %s: %d connections", r.Name, st.Connects)
	st.BeforeConnects, st.AfterConnects, err = beforeAndAfter(ctx, p, st.Connects, connects)
	if err != nil {
		return nil, fmt.Errorf("row %s: %w", r.Name, err)
	}
	return st, nil
}

func beforeAndAfter(ctx context.Context, p *peer.Peer, n int, do func(int) error) (before, after State, err error) {
	if err := do(n / warmPart); err != nil {
		return State{}, State{}, err
	}
	if before, err = stateOf(ctx, p); err != nil {
		return State{}, State{}, err
	}
	if err := do(n); err != nil {
		return State{}, State{}, err
	}
	after, err = stateOf(ctx, p)
	return before, after, err
}

func stateOf(ctx context.Context, p *peer.Peer) (State, error) {
	m, err := p.Settle(ctx)
	if err != nil {
		return State{}, err
	}
	fds, err := p.FDs()
	if err != nil {
		return State{}, err
	}
	return State{FDs: fds, Goroutines: m.Goroutines, Heap: float64(m.HeapInuse)}, nil
}
