package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	loomv1 "loom/api/loom/v1"
)

func (c *ctl) routesCommand() *cobra.Command {
	list := func(cmd *cobra.Command, _ []string) error { return c.show(cmd.Context(), c.routes) }
	root := c.watchable(&cobra.Command{
		Use:     "routes",
		Short:   "The routes, and what goes through them",
		Long:    "The routes in the order in which they are tried. The figures are those of\nthe last 10 to 15 seconds.",
		Example: "  loomctl routes -w\n  loomctl routes show orders",
		Args:    cobra.NoArgs,
		RunE:    list,
	})
	root.AddCommand(
		c.watchable(&cobra.Command{Use: "list", Short: "All routes", Args: cobra.NoArgs, RunE: list}),
		c.watchable(&cobra.Command{
			Use: "show ROUTE", Short: "One route", Args: takes("ROUTE"), ValidArgsFunction: c.complete(routeNames),
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.show(cmd.Context(), func(ctx context.Context) (*view, error) { return c.route(ctx, args[0]) })
			},
		}))
	return root
}

func (c *ctl) routes(ctx context.Context) (*view, error) {
	a, err := ask(ctx, c, loomv1.AdminClient.ListRoutes, &loomv1.ListRoutesRequest{})
	if err != nil {
		return nil, err
	}
	t := table{columns: append([]column{{title: "ROUTE"}, {title: "MATCH"}, {title: "BACKEND"}}, loadColumns(false)...)}
	for _, r := range a.GetRoutes() {
		t.add(append([]string{r.GetName(), r.GetMatch(), destination(r)}, loadValues(r.GetLoad())...)...)
	}
	return &view{message: a, table: t}, nil
}

func (c *ctl) route(ctx context.Context, name string) (*view, error) {
	a, err := ask(ctx, c, loomv1.AdminClient.GetRoute, &loomv1.GetRouteRequest{Name: name})
	if err != nil {
		return nil, err
	}
	r, l := a.GetRoute(), a.GetRoute().GetLoad()
	t := facts()
	t.add("route", r.GetName())
	t.add("match", r.GetMatch())
	t.add("backend", destination(r))
	t.add("calls", fmt.Sprintf("%d, %d of them failed", l.GetCalls(), l.GetErrors()))
	t.add("rate", rate(l.GetRate())+" a second")
	t.add("errors", loadValues(l)[2]+" %")
	t.add("p50", lengthOf(l.GetP50()))
	t.add("p99", lengthOf(l.GetP99()))
	return &view{message: a, table: t}, nil
}

// destination is where the calls of a route go.
func destination(r *loomv1.Route) string {
	if r.GetDeny() != "" {
		return "deny " + r.GetDeny()
	}
	all, sum := r.GetBackends(), int64(0)
	if len(all) == 1 {
		return all[0].GetName()
	}
	for _, b := range all {
		sum += int64(b.GetWeight())
	}
	var parts []string
	for _, b := range all {
		parts = append(parts, fmt.Sprintf("%s %d%%", b.GetName(), (200*int64(b.GetWeight())+sum)/max(2*sum, 1)))
	}
	return strings.Join(parts, ", ")
}

// loadColumns are the figures of a route or a backend.
func loadColumns(wide bool) []column {
	return []column{
		{title: "RPS", right: true, wide: wide}, {title: "P99", right: true, wide: wide}, {title: "ERR%", right: true, wide: wide},
		{title: "P50", right: true, wide: true}, {title: "CALLS", right: true, wide: true}, {title: "ERRORS", right: true, wide: true},
	}
}

func loadValues(l *loomv1.Load) []string {
	share := nothing
	if l.GetRate() > 0 {
		share = percent(l.GetErrorShare())
	}
	return []string{rate(l.GetRate()), lengthOf(l.GetP99()), share, lengthOf(l.GetP50()), count(l.GetCalls()), count(l.GetErrors())}
}

func routeNames(ctx context.Context, c *ctl) ([]string, error) {
	a, err := ask(ctx, c, loomv1.AdminClient.ListRoutes, &loomv1.ListRoutesRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range a.GetRoutes() {
		names = append(names, r.GetName())
	}
	return names, nil
}
