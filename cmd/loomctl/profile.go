package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	loomv1 "loom/api/loom/v1"
)

const defaultProfile = 10 * time.Second

func (c *ctl) profileCommand() *cobra.Command {
	kinds := []string{"cpu", "heap", "goroutine"}
	var file string
	length := defaultProfile
	cmd := &cobra.Command{
		Use:       "profile KIND",
		Short:     "What loomd spends: cpu, heap or goroutine",
		Long:      "A profile of loomd for go tool pprof: cpu (for --length), heap or goroutine.",
		Example:   "  loomctl profile cpu --length 30s && go tool pprof loomd-cpu.pprof\n  loomctl profile heap --file - > heap.pprof",
		Args:      oneOf(kinds),
		ValidArgs: kinds,
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				file = "loomd-" + args[0] + ".pprof"
			}
			q := &loomv1.ProfileRequest{Kind: loomv1.ProfileKind(loomv1.ProfileKind_value["PROFILE_KIND_"+strings.ToUpper(args[0])])}
			if q.GetKind() == loomv1.ProfileKind_PROFILE_KIND_CPU {
				q.Duration = durationpb.New(length)
			}
			return c.profile(cmd.Context(), q, file)
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "write to this `file`, - for the standard output (default loomd-KIND.pprof)")
	cmd.Flags().DurationVar(&length, "length", defaultProfile, "of a cpu profile: how long to look")
	return cmd
}

func (c *ctl) profile(ctx context.Context, q *loomv1.ProfileRequest, file string) error {
	client, err := c.connect(ctx)
	if err != nil {
		return err
	}
	stream, err := client.Profile(ctx, q)
	if err != nil {
		return c.explain(err)
	}
	// The first piece comes before the file is made: a call that fails leaves
	// none.
	piece, err := stream.Recv()
	if err != nil {
		return c.explain(err)
	}
	to := c.stdout
	if file != "-" {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // the user names the file
		if err != nil {
			return &failure{exitFailed, fmt.Errorf("make the file of the profile: %w", err)}
		}
		defer f.Close()
		to = f
	}
	total := 0
	for ; err == nil; piece, err = stream.Recv() {
		n, err := to.Write(piece.GetData())
		if err != nil {
			return &failure{exitFailed, fmt.Errorf("write the profile: %w", err)}
		}
		total += n
	}
	if !errors.Is(err, io.EOF) {
		return c.explain(err)
	}
	if file != "-" {
		c.say("wrote %s, %s: go tool pprof %s", file, size(uint64(total)), file)
	}
	return nil
}
