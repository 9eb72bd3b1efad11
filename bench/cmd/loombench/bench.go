package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"loom/bench/internal/peer"
	"loom/bench/internal/report"
	"loom/bench/internal/row"
	"loom/bench/internal/suite"
)

// settings is what the flags say.
type settings struct {
	quick, latency bool
	rows, peers    string
	runs           int
	duration       time.Duration
	warmUp         time.Duration
	root, loomd    string
	out            string
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("loombench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&s.quick, "quick", false, "one run, no latency, nothing written; for work on the data path")
	flags.BoolVar(&s.latency, "latency", false, "with -quick: latency too")
	flags.StringVar(&s.rows, "rows", "", "loads, separated by commas: 1x100, 20x50, 20x1, 64k, 1m, bidi, idle, steady, mixed (default all)")
	flags.StringVar(&s.peers, "peers", "", "peers, separated by commas: direct, tcp, loomd, haproxy, nginx, grpc-go (default all)")
	flags.IntVar(&s.runs, "runs", 0, "runs at saturation (default 5, with -quick 1)")
	flags.DurationVar(&s.duration, "duration", 0, "of each load (default 1.5s, with -quick 2s)")
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

// options fills in what the flags leave open. Everything is bounded.
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
		if s.latency {
			o.LatencyRuns = 1
		}
	}
	if s.runs != 0 {
		o.Runs = s.runs
	}
	if s.duration != 0 {
		o.Duration = s.duration
	}
	const (
		maxRuns     = 100
		minDuration = 100 * time.Millisecond
		maxDuration = time.Minute
	)
	if o.Runs < 1 || o.Runs > maxRuns {
		return suite.Options{}, fmt.Errorf("-runs: %d is not within 1 to %d", o.Runs, maxRuns)
	}
	for _, d := range []time.Duration{o.Duration, o.WarmUp} {
		if d < minDuration || d > maxDuration {
			return suite.Options{}, fmt.Errorf("-duration, -warmup: %v is not within %v to %v", d, minDuration, maxDuration)
		}
	}
	return o, nil
}

func bench(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	opts, err := s.options()
	if err != nil {
		return err
	}
	opts.Dir, err = os.MkdirTemp("", "loombench-")
	if err != nil {
		return fmt.Errorf("make a folder for the peers: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(opts.Dir)) }()
	opts.Loomd = s.loomd
	if opts.Loomd == "" && slices.Contains(opts.Peers, peer.Loomd) {
		opts.Loomd = filepath.Join(opts.Dir, "loomd.bin")
		if err := peer.BuildLoomd(ctx, s.root, opts.Loomd); err != nil {
			return err
		}
	}
	res, err := suite.Run(ctx, opts, stderr)
	if err != nil {
		return err
	}
	if s.quick {
		return report.Summary(stdout, res)
	}
	return publish(report.Document{Date: time.Now(), Options: opts, Result: res}, s.out, stdout)
}

// publish writes the document to a file and to stdout.
func publish(d report.Document, file string, stdout io.Writer) error {
	var err error
	if d.Machine, err = report.Machine(); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	err = errors.Join(d.Write(io.MultiWriter(f, stdout)), f.Close())
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
