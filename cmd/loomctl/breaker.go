package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	loomv1 "loom/api/loom/v1"
)

func (c *ctl) breakerCommand() *cobra.Command {
	list := func(cmd *cobra.Command, _ []string) error { return c.show(cmd.Context(), c.breakers) }
	root := c.watchable(&cobra.Command{
		Use:     "breaker",
		Short:   "The circuit breakers of the backends",
		Example: "  loomctl breaker status -w\n  loomctl breaker reset ledger",
		Args:    cobra.NoArgs,
		RunE:    list,
	})
	root.AddCommand(c.watchable(&cobra.Command{Use: "status", Short: "How all of them are", Args: cobra.NoArgs, RunE: list}))
	for _, a := range []struct {
		name, short string
		action      loomv1.BreakerAction
	}{
		{"open", "Refuse all calls to a backend, until told otherwise", loomv1.BreakerAction_BREAKER_ACTION_OPEN},
		{"close", "Let all calls to a backend pass, until told otherwise", loomv1.BreakerAction_BREAKER_ACTION_CLOSE},
		{"reset", "Close a breaker now and forget what it counted", loomv1.BreakerAction_BREAKER_ACTION_RESET},
		{"auto", "Let a breaker judge by itself again, beginning closed", loomv1.BreakerAction_BREAKER_ACTION_AUTO},
	} {
		root.AddCommand(&cobra.Command{
			Use: a.name + " BACKEND", Short: a.short, Args: takes("BACKEND"), ValidArgsFunction: c.complete(breakerNames),
			RunE: func(cmd *cobra.Command, args []string) error {
				b, err := ask(cmd.Context(), c, loomv1.AdminClient.ControlBreaker, &loomv1.ControlBreakerRequest{Backend: args[0], Action: a.action})
				if err != nil {
					return err
				}
				return c.print(&view{message: b, table: breakerTable(b.GetBreaker())})
			},
		})
	}
	return root
}

func (c *ctl) breakers(ctx context.Context) (*view, error) {
	a, err := ask(ctx, c, loomv1.AdminClient.ListBreakers, &loomv1.ListBreakersRequest{})
	if err != nil {
		return nil, err
	}
	if len(a.GetBreakers()) == 0 {
		c.say("No backend has a breaker: see backends.NAME.breaker of loom.yaml.")
	}
	return &view{message: a, table: breakerTable(a.GetBreakers()...)}, nil
}

func breakerTable(breakers ...*loomv1.Breaker) table {
	now := time.Now()
	t := table{columns: []column{
		{title: "BACKEND"}, {title: "STATE", tone: stateTone}, {title: "FAIL%", right: true}, {title: "SINCE", right: true}, {title: "NEXT PROBE"},
	}}
	for _, b := range breakers {
		t.add(b.GetBackend(), b.GetState(), percent(b.GetFailureRatio()), since(b.GetSince(), now), until(b.GetNextProbe(), now))
	}
	return t
}

func breakerNames(ctx context.Context, c *ctl) ([]string, error) {
	a, err := ask(ctx, c, loomv1.AdminClient.ListBreakers, &loomv1.ListBreakersRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, b := range a.GetBreakers() {
		names = append(names, b.GetBackend())
	}
	return names, nil
}
