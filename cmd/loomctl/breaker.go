package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	loomv1 "loom/api/loom/v1"
)

func (c *ctl) breakerCommand() *cobra.Command {
	list := func(cmd *cobra.Command, args []string) error {
		return c.show(cmd.Context(), func(ctx context.Context) (*view, error) { return c.breakers(ctx, args) })
	}
	root := c.watchable(&cobra.Command{
		Use:     "breaker",
		Short:   "The circuit breakers of the backends",
		Example: "  loomctl breaker status -w\n  loomctl breaker reset ledger",
		Args:    cobra.NoArgs,
		RunE:    list,
	})
	root.AddCommand(c.watchable(&cobra.Command{
		Use: "status [BACKEND]", Short: "How all of them are, or one", Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.complete(breakerNames), RunE: list,
	}))
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

// breakers are all of them, or that of the one backend that is named.
func (c *ctl) breakers(ctx context.Context, named []string) (*view, error) {
	a, err := ask(ctx, c, loomv1.AdminClient.ListBreakers, &loomv1.ListBreakersRequest{})
	if err != nil {
		return nil, err
	}
	if len(named) > 0 {
		all := a.GetBreakers()
		i := slices.IndexFunc(all, func(b *loomv1.Breaker) bool { return b.GetBackend() == named[0] })
		if i < 0 {
			return nil, &failure{exitFailed, fmt.Errorf("there is no breaker of a backend %q", named[0])}
		}
		a.Breakers = all[i : i+1]
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
		{title: "CALLS", right: true, wide: true}, {title: "IN A ROW", right: true, wide: true}, {title: "OPENED", right: true, wide: true},
		{title: "REJECTED", right: true, wide: true}, {title: "LAST ERROR", wide: true},
	}}
	for _, b := range breakers {
		t.add(b.GetBackend(), b.GetState(), percent(b.GetFailureRatio()), since(b.GetSince(), now), until(b.GetNextProbe(), now),
			count(b.GetVerdicts()), count(b.GetConsecutive()), count(b.GetTotals().GetOpenings()), count(b.GetTotals().GetRejected()), b.GetLastError())
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
