package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"loom/bench/internal/peer"
	"loom/bench/internal/report"
	"loom/bench/internal/suite"
)

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
	if ctx.Err() != nil {
		return errors.New("interrupted; nothing was written")
	}
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
