package main

import (
	"flag"
	"fmt"
	"io"
	"time"

	"loom/bench/internal/peer"
	"loom/bench/internal/row"
	"loom/bench/internal/suite"
)

// unset is the value of a number that no flag gave.
const unset = -1

// settings is what the flags say.
type settings struct {
	quick             bool
	rows, peers       string
	runs, latencyRuns int
	duration          time.Duration
	warmUp            time.Duration
	root, loomd       string
	out               string
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("loombench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&s.quick, "quick", false, "one run, no latency, nothing written; for work on the data path")
	flags.StringVar(&s.rows, "rows", "", "loads, separated by commas: 1x100, 20x50, 20x1, 64k, 1m, bidi, idle, steady, mixed (default all)")
	flags.StringVar(&s.peers, "peers", "", "peers, separated by commas: direct, tcp, loomd, loomd-recording, loomd-watched, haproxy, nginx, grpc-go, loomd-tls, haproxy-tls (default all)")
	flags.IntVar(&s.runs, "runs", unset, "runs at saturation (default 5, with -quick 1)")
	flags.IntVar(&s.latencyRuns, "latency-runs", unset, "runs at a fixed rate, for latency; needs the peer direct (default 3, with -quick 0)")
	flags.DurationVar(&s.duration, "duration", unset, "of each load (default 1.5s, with -quick 2s)")
	flags.DurationVar(&s.warmUp, "warmup", 300*time.Millisecond, "before each load")
	flags.StringVar(&s.root, "root", "..", "the loom repository, to build loomd from")
	flags.StringVar(&s.loomd, "loomd", "", "executable of loomd to use instead of building one")
	flags.StringVar(&s.out, "out", "RESULTS.md", "file to write; nothing is written with -quick")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	if flags.NArg() > 0 {
		return settings{}, fmt.Errorf("unexpected argument %q; loombench takes flags only", flags.Arg(0))
	}
	return s, nil
}

// options fills in what the flags leave open.
func (s settings) options() (suite.Options, error) {
	rows, err := row.Pick(s.rows)
	if err != nil {
		return suite.Options{}, fmt.Errorf("-rows: %w", err)
	}
	peers, err := peer.Pick(s.peers)
	if err != nil {
		return suite.Options{}, fmt.Errorf("-peers: %w", err)
	}
	o := suite.Options{
		Rows: rows, Peers: peers,
		Runs: 5, LatencyRuns: 3, Duration: 1500 * time.Millisecond, WarmUp: s.warmUp,
		SteadyCalls: 1_000_000, SteadyConnects: 10_000, MixedFor: time.Minute,
	}
	if s.quick {
		o.Runs, o.Duration, o.LatencyRuns = 1, 2*time.Second, 0
		o.SteadyCalls, o.SteadyConnects, o.MixedFor = 50_000, 500, 5*time.Second
	}
	if s.runs != unset {
		o.Runs = s.runs
	}
	if s.latencyRuns != unset {
		o.LatencyRuns = s.latencyRuns
	}
	if s.duration != unset {
		o.Duration = s.duration
	}
	return o, bounded(o)
}

// bounded reports the first number that is not within its bounds.
func bounded(o suite.Options) error {
	const (
		maxRuns     = 100
		minDuration = 100 * time.Millisecond
		maxDuration = time.Minute
	)
	switch {
	case o.Runs < 1 || o.Runs > maxRuns:
		return fmt.Errorf("-runs: %d is not within 1 to %d", o.Runs, maxRuns)
	case o.LatencyRuns < 0 || o.LatencyRuns > maxRuns:
		return fmt.Errorf("-latency-runs: %d is not within 0 to %d", o.LatencyRuns, maxRuns)
	case o.Duration < minDuration || o.Duration > maxDuration:
		return fmt.Errorf("-duration: %v is not within %v to %v", o.Duration, minDuration, maxDuration)
	case o.WarmUp < minDuration || o.WarmUp > maxDuration:
		return fmt.Errorf("-warmup: %v is not within %v to %v", o.WarmUp, minDuration, maxDuration)
	}
	return nil
}
