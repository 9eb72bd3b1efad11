package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	loomv1 "loom/api/loom/v1"
)

func (c *ctl) backendsCommand() *cobra.Command {
	list := func(cmd *cobra.Command, _ []string) error { return c.show(cmd.Context(), c.backends) }
	root := c.watchable(&cobra.Command{
		Use:     "backends",
		Short:   "The backends with their endpoints",
		Example: "  loomctl backends -o wide\n  loomctl backends drain shop 10.0.0.7:9000",
		Args:    cobra.NoArgs,
		RunE:    list,
	})
	root.AddCommand(
		c.watchable(&cobra.Command{Use: "list", Short: "All backends", Args: cobra.NoArgs, RunE: list}),
		&cobra.Command{
			Use: "drain BACKEND ENDPOINT", Short: "Give an endpoint no new calls",
			Long: "Give an endpoint no new calls; those that are open go on. It holds until\nundrain, over reloads too, or until loomd ends.",
			Args: takes("BACKEND", "ENDPOINT"), ValidArgsFunction: c.complete(backendNames, endpointNames),
			RunE: func(cmd *cobra.Command, args []string) error {
				a, err := ask(cmd.Context(), c, loomv1.AdminClient.DrainEndpoint, &loomv1.DrainEndpointRequest{Backend: args[0], Endpoint: args[1]})
				return c.changed(a, a.GetBackend(), err)
			},
		},
		&cobra.Command{
			Use: "undrain BACKEND ENDPOINT", Short: "Give an endpoint calls again",
			Args: takes("BACKEND", "ENDPOINT"), ValidArgsFunction: c.complete(backendNames, endpointNames),
			RunE: func(cmd *cobra.Command, args []string) error {
				a, err := ask(cmd.Context(), c, loomv1.AdminClient.UndrainEndpoint, &loomv1.UndrainEndpointRequest{Backend: args[0], Endpoint: args[1]})
				return c.changed(a, a.GetBackend(), err)
			},
		})
	return root
}

func (c *ctl) backends(ctx context.Context) (*view, error) {
	a, err := ask(ctx, c, loomv1.AdminClient.ListBackends, &loomv1.ListBackendsRequest{})
	if err != nil {
		return nil, err
	}
	return &view{message: a, table: backendTable(a.GetBackends()...)}, nil
}

// changed shows what has become of a backend, unless the change failed.
func (c *ctl) changed(answer proto.Message, b *loomv1.Backend, err error) error {
	if err != nil {
		return err
	}
	return c.print(&view{message: answer, table: backendTable(b)})
}

// backendTable has a row for each endpoint. The figures in its wide columns are
// those of the backend.
func backendTable(backends ...*loomv1.Backend) table {
	t := table{columns: append([]column{
		{title: "BACKEND"}, {title: "ENDPOINT"}, {title: "STATE", tone: stateTone}, {title: "HEALTH", optional: true, tone: stateTone},
		{title: "OPEN", right: true}, {title: "CONNS", right: true}, {title: "PROBLEM", optional: true},
		{title: "WEIGHT", right: true, wide: true}, {title: "GOOD", right: true, wide: true}, {title: "BAD", right: true, wide: true},
		{title: "EJECTED", right: true, wide: true}, {title: "WAITING", right: true, wide: true},
	}, loadColumns(true)...)}
	for _, b := range backends {
		figures := append([]string{count(b.GetWaiting())}, loadValues(b.GetLoad())...)
		problem := strings.Join(b.GetProblems(), "; ")
		if len(b.GetEndpoints()) == 0 {
			t.add(append([]string{b.GetName(), nothing, "no endpoint", "", "0", "0", problem, "0", "0", "0", "0"}, figures...)...)
		}
		for _, e := range b.GetEndpoints() {
			t.add(append([]string{
				b.GetName(), e.GetAddress(), e.GetState(), e.GetHealth(), count(e.GetOpen()), count(e.GetConnections()), orElse(e.GetError(), problem),
				count(e.GetWeight()), count(e.GetGood()), count(e.GetBad()), count(e.GetEjections()),
			}, figures...)...)
		}
	}
	return t
}

func backendNames(ctx context.Context, c *ctl) ([]string, error) {
	a, err := ask(ctx, c, loomv1.AdminClient.ListBackends, &loomv1.ListBackendsRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, b := range a.GetBackends() {
		names = append(names, b.GetName())
	}
	return names, nil
}

// endpointNames are those of all backends: the shell shows which fit.
func endpointNames(ctx context.Context, c *ctl) ([]string, error) {
	a, err := ask(ctx, c, loomv1.AdminClient.ListBackends, &loomv1.ListBackendsRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, b := range a.GetBackends() {
		for _, e := range b.GetEndpoints() {
			names = append(names, e.GetAddress())
		}
	}
	return names, nil
}
