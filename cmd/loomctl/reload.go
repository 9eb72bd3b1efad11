package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	loomv1 "loom/api/loom/v1"
)

// reloadTimeout is a little more than a reload takes at most: 75 s, and the
// longest probation.
const reloadTimeout = 140 * time.Second

func (c *ctl) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Have a fresh loomd take over, without losing a call",
		Long: `Has a fresh loomd take over from the running one: the program on disk, with
the configuration as it is now, the sockets, and the state. Prints what goes on,
and ends when the outcome is certain: after the probation (restart.probation).
If it fails, all is as before, and the reason is said on one line.

The old process then drains: its calls go on for restart.drain, and loomctl
status shows it meanwhile. The reload goes on if loomctl does not wait for it.`,
		Example: "  loomctl reload\n  loomctl reload --timeout 75s && loomctl status",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("timeout") {
				c.timeout = reloadTimeout
			}
			return c.reload(cmd.Context())
		},
	}
}

func (c *ctl) reload(ctx context.Context) error {
	client, err := c.connect(ctx)
	if err != nil {
		return err
	}
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	stream, err := client.Reload(ctx, &loomv1.ReloadRequest{})
	for err == nil {
		var m *loomv1.ReloadResponse
		if m, err = stream.Recv(); err != nil {
			break
		}
		err = c.printProgress(m)
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case status.Code(err) == codes.Aborted:
		return &failure{exitFailed, fmt.Errorf("the reload failed, and all is as before: %s", status.Convert(err).Message())}
	case status.Code(err) == codes.FailedPrecondition:
		return &failure{exitFailed, fmt.Errorf("no reload: %s", status.Convert(err).Message())}
	}
	return c.explain(err)
}

// printProgress prints a line of what goes on, as a whole for programs.
func (c *ctl) printProgress(m *loomv1.ReloadResponse) error {
	switch next := m.GetSuccessor(); {
	case c.chosen() == asJSON:
		return c.printLine(&view{message: m})
	case c.structured():
		fmt.Fprintln(c.stdout, "---")
		return c.print(&view{message: m})
	case next != nil:
		c.say("reloaded: generation %d serves, process %d", next.GetNumber(), next.GetPid())
	case !c.quiet:
		fmt.Fprintln(c.stdout, printable(m.GetProgress()))
	}
	return nil
}
