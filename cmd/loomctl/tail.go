package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	loomv1 "loom/api/loom/v1"
)

func (c *ctl) tailCommand() *cobra.Command {
	var filter string
	var bodies bool
	most := 0
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Calls as they end",
		Long: `Calls as they end, a line each: time, status, how long it took, method,
backend, messages up and down, and the id, with which calls show has more.
What loomd or this terminal is too slow for is left out, and said. When loomd is
reloaded it goes on, and no call is missing.`,
		Example: "  loomctl tail --filter 'is:error'\n  loomctl tail -o json | jq .call.path\n  loomctl tail --bodies -n 1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.endless = true
			return c.tail(cmd.Context(), filter, bodies, most)
		},
	}
	cmd.Flags().StringVarP(&filter, "filter", "f", "", "only calls that the `filter` wants, such as 'status:UNAVAILABLE latency:>50ms'")
	cmd.Flags().BoolVar(&bodies, "bodies", false, "with their messages")
	cmd.Flags().IntVarP(&most, "count", "n", 0, "end after so many calls (default none)")
	return cmd
}

// errEnough ends a stream of calls.
var errEnough = errors.New("enough")

func (c *ctl) tail(ctx context.Context, filter string, bodies bool, most int) error {
	printed := 0
	return c.follow(ctx, filter, func(a *loomv1.WatchCallsResponse) error {
		for _, row := range a.GetCalls() {
			if err := c.printCall(ctx, row, bodies); err != nil {
				return err
			}
			if printed++; printed == most {
				return errEnough
			}
		}
		if n := a.GetMissed(); n > 0 {
			c.say("(%d changes of calls were missed)", n)
		}
		return nil
	})
}

// follow hands each answer about calls that ended to take, until that returns
// errEnough or ctx ends.
func (c *ctl) follow(ctx context.Context, filter string, take func(*loomv1.WatchCallsResponse) error) error {
	client, err := c.connect(ctx)
	if err != nil {
		return err
	}
	var refused error // by take, which explains itself
	err = client.Follow(ctx, filter, func(a *loomv1.WatchCallsResponse) error {
		refused = take(a)
		return refused
	}, func() { c.say("(loomd was reloaded: its calls go on)") })
	switch {
	case errors.Is(err, errEnough) || ctx.Err() != nil:
		return nil //nolint:nilerr // the user has seen enough
	case refused != nil:
		return refused
	}
	return c.explain(err)
}

// printCall prints a call that ended, with its messages if they are wanted and
// still kept.
func (c *ctl) printCall(ctx context.Context, row *loomv1.CallSummary, bodies bool) error {
	var whole *loomv1.GetCallResponse
	if bodies {
		var err error
		if whole, err = ask(ctx, c, loomv1.AdminClient.GetCall, &loomv1.GetCallRequest{Id: row.GetId()}); err != nil {
			return err
		}
	}
	v := &view{message: row, under: "call"}
	if bodies {
		v = &view{message: whole}
	}
	switch c.chosen() {
	case asJSON:
		return c.printLine(v)
	case asYAML:
		fmt.Fprintln(c.stdout, "---")
		return c.print(v)
	case asTSV:
		t := callTable()
		t.add(callValues(row)...)
		return c.print(&view{table: t})
	}
	fmt.Fprintln(c.stdout, callLine(row, c.painter()))
	for _, m := range whole.GetMessages() {
		fmt.Fprintf(c.stdout, "  %s %s\n", messageTitle(m), printable(orElse(m.GetJson(), "("+m.GetProblem()+")")))
	}
	return nil
}

// callLine is a call on one line.
func callLine(row *loomv1.CallSummary, p painter) string {
	v := callValues(row)
	for i := range v {
		v[i] = oneLine(v[i])
	}
	line := []string{p.paint(v[0], dim), p.paint(v[1], statusTone(v[1])), v[2], v[3], v[4], v[5], p.paint("#"+v[6], dim)}
	if row.GetReason() != "" {
		line = append(line, v[8])
	}
	return strings.Join(line, " ")
}
