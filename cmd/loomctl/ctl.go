package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	loomv1 "loom/api/loom/v1"
	"loom/internal/adminclient"
)

const (
	defaultTimeout  = 10 * time.Second
	defaultInterval = 2 * time.Second
)

// ctl is what the commands share: the flags, and the connection once there is
// one.
type ctl struct {
	env            lookupEnv
	stdin          io.Reader
	stdout, stderr io.Writer

	// Set by the flags.
	socket   string
	format   format
	noColor  bool
	quiet    bool
	timeout  time.Duration
	watch    bool
	interval time.Duration

	client  *adminclient.Client // nil: not connected yet
	endless bool                // the command goes on until the user ends it
}

// connect returns the client, and connects if that was not done.
func (c *ctl) connect(ctx context.Context) (*adminclient.Client, error) {
	if c.client != nil {
		return c.client, nil
	}
	client, err := adminclient.Dial(ctx, c.socket, adminclient.Here(c.env))
	if err != nil {
		return nil, c.explain(err)
	}
	c.client = client
	return client, nil
}

// where is the socket of the client.
func (c *ctl) where() string {
	if c.client == nil {
		return c.socket
	}
	return c.client.Socket()
}

func (c *ctl) close() {
	if c.client != nil {
		_ = c.client.Close() // it ends with the process at the latest
	}
}

// ask connects and makes one call within the time that loomd may take. The call
// is given as a method expression, such as loomv1.AdminClient.GetStatus.
func ask[Q, A any](ctx context.Context, c *ctl, call func(loomv1.AdminClient, context.Context, Q, ...grpc.CallOption) (A, error), q Q) (A, error) {
	var none A
	client, err := c.connect(ctx)
	if err != nil {
		return none, err
	}
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	a, err := call(client, ctx, q)
	if err != nil {
		return none, c.explain(err)
	}
	return a, nil
}

// watchable lets a command print again and again.
func (c *ctl) watchable(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVarP(&c.watch, "watch", "w", false, "print again and again, until Ctrl-C")
	cmd.Flags().DurationVar(&c.interval, "interval", defaultInterval, "how often, with --watch")
	return cmd
}

// show prints what look returns: once, or again and again with --watch.
func (c *ctl) show(ctx context.Context, look func(context.Context) (*view, error)) error {
	if !c.watch {
		v, err := look(ctx)
		if err != nil {
			return err
		}
		return c.print(v)
	}
	c.endless = true
	ticker := time.NewTicker(max(c.interval, 100*time.Millisecond))
	defer ticker.Stop()
	for first := true; ; first = false {
		v, err := look(ctx)
		if err != nil {
			return err
		}
		if err := c.printAgain(v, first); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
