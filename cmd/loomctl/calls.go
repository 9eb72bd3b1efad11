package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	loomv1 "loom/api/loom/v1"
)

// clock is how the time of a call is written.
const clock = "15:04:05.000"

// defaultRows is how many calls are listed: what fits on a screen.
const defaultRows = 20

// replayTime is how long a replay may take, unless --timeout says otherwise.
const replayTime = 6 * time.Minute

func (c *ctl) callsCommand() *cobra.Command {
	var filter string
	var limit int32
	list := func(cmd *cobra.Command, _ []string) error {
		return c.show(cmd.Context(), func(ctx context.Context) (*view, error) { return c.calls(ctx, filter, limit) })
	}
	withFilter := func(cmd *cobra.Command) *cobra.Command {
		cmd.Flags().StringVarP(&filter, "filter", "f", "", "only calls that the `filter` wants, such as 'status:UNAVAILABLE latency:>50ms'")
		cmd.Flags().Int32VarP(&limit, "limit", "n", defaultRows, "how many, the newest")
		return c.watchable(cmd)
	}
	root := withFilter(&cobra.Command{
		Use:     "calls",
		Short:   "The calls that are kept",
		Example: "  loomctl calls --filter 'is:error -route:canary'\n  loomctl calls show 8f2a1-1041\n  loomctl calls replay 8f2a1-1041",
		Args:    cobra.NoArgs,
		RunE:    list,
	})
	root.AddCommand(
		withFilter(&cobra.Command{Use: "list", Short: "The newest calls", Args: cobra.NoArgs, RunE: list}),
		&cobra.Command{
			Use: "show ID", Short: "One call with its messages", Args: takes("ID"), ValidArgsFunction: c.complete(callIDs),
			RunE: func(cmd *cobra.Command, args []string) error {
				a, err := ask(cmd.Context(), c, loomv1.AdminClient.GetCall, &loomv1.GetCallRequest{Id: bareID(args[0])})
				if err != nil {
					return err
				}
				return c.print(&view{message: a, table: callFacts(a), text: func(w io.Writer, p painter) { writeCall(w, p, a) }})
			},
		},
		c.replayCommand())
	return root
}

func (c *ctl) calls(ctx context.Context, filter string, limit int32) (*view, error) {
	a, err := ask(ctx, c, loomv1.AdminClient.ListCalls, &loomv1.ListCallsRequest{Filter: filter, Limit: limit})
	if err != nil {
		return nil, err
	}
	if a.GetPartial() {
		c.say("There was no time to look at all calls: older ones may be missing.")
	}
	t := callTable()
	for _, row := range a.GetCalls() {
		t.add(callValues(row)...)
	}
	return &view{message: a, table: t}, nil
}

// callTable has a row for each call.
func callTable() table {
	return table{columns: []column{
		{title: "TIME"}, {title: "STATUS", tone: statusTone}, {title: "TOOK", right: true}, {title: "METHOD"}, {title: "BACKEND"}, {title: "MSGS"}, {title: "ID"},
		{title: "ENDED BY", wide: true}, {title: "REASON", wide: true}, {title: "ROUTE", wide: true}, {title: "ENDPOINT", wide: true},
		{title: "PEER", wide: true}, {title: "BYTES", wide: true, right: true},
	}}
}

func callValues(s *loomv1.CallSummary) []string {
	return []string{
		time.UnixMicro(s.GetAt()).Format(clock), statusOf(s), length(time.Duration(s.GetTook()) * time.Microsecond), s.GetPath(),
		orElse(s.GetBackend(), nothing), fmt.Sprintf("↑%d↓%d", s.GetUp(), s.GetDown()), s.GetId(),
		enderName(s.GetBy()), s.GetReason(), s.GetRoute(), s.GetEndpoint(), s.GetPeer(), count(s.GetUpBytes() + s.GetDownBytes()),
	}
}

// statusOf is the status of a call; open for one that has none yet.
func statusOf(s *loomv1.CallSummary) string {
	switch {
	case s.Code != nil:
		return statusName(s.GetCode())
	case s.GetState() == loomv1.CallState_CALL_STATE_OPEN:
		return "open"
	}
	return nothing
}

func enderName(e loomv1.Ender) string {
	if e == loomv1.Ender_ENDER_UNSPECIFIED {
		return ""
	}
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(e.String(), "ENDER_")), "_", "-")
}

// bareID takes an id as tail prints it.
func bareID(text string) string { return strings.TrimPrefix(text, "#") }

func (c *ctl) replayCommand() *cobra.Command {
	q := &loomv1.ReplayCallRequest{}
	var direct bool
	var deadline time.Duration
	cmd := &cobra.Command{
		Use: "replay ID", Short: "Make a call again",
		Long: "Make a call again, without its credentials, through the listener or straight\nto a backend, and say how the answer differs. Exits with 0 if the status is\nOK, else with 64 and the number of the status.",
		Args: takes("ID"), ValidArgsFunction: c.complete(callIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("timeout") {
				c.timeout = replayTime
			}
			q.Id, q.Target = bareID(args[0]), loomv1.ReplayTarget_REPLAY_TARGET_ROUTE
			if direct || q.GetBackend() != "" {
				q.Target = loomv1.ReplayTarget_REPLAY_TARGET_DIRECT
			}
			if deadline != 0 {
				q.Deadline = durationpb.New(deadline)
			}
			return c.replay(cmd.Context(), q)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&direct, "direct", false, "straight to the backend, past the listener")
	flags.StringVar(&q.Backend, "backend", "", "to this `backend`; with --direct, which it implies")
	flags.DurationVar(&deadline, "deadline", 0, "the deadline that the backend is told (default none)")
	flags.BoolVar(&q.RecordedTiming, "recorded-timing", false, "wait before each message as long as the caller did")
	return cmd
}

func (c *ctl) replay(ctx context.Context, q *loomv1.ReplayCallRequest) error {
	a, err := ask(ctx, c, loomv1.AdminClient.ReplayCall, q)
	if err != nil {
		return err
	}
	code := a.GetStatus().GetCode()
	t := facts()
	t.columns[1].tone = statusTone
	t.add("status", statusName(code))
	if m := a.GetStatus().GetMessage(); m != "" {
		t.add("message", m)
	}
	t.columns[1].tone = nil
	t.add("id", orElse(a.GetId(), nothing))
	if a.GetNote() != "" {
		t.add("note", a.GetNote())
	}
	for _, d := range a.GetChanges() {
		t.add(d.GetKind(), strings.TrimSpace(fmt.Sprintf("%s %s", orElse(d.GetPath(), "the response"), oldAndNew(d))))
	}
	if err := c.print(&view{message: a, table: t}); err != nil {
		return err
	}
	if code == 0 {
		return nil
	}
	return exit(exitReplay + int(code))
}

func oldAndNew(d *loomv1.JSONChange) string {
	switch {
	case d.GetOld() == "":
		return d.GetNew()
	case d.GetNew() == "":
		return d.GetOld()
	}
	return d.GetOld() + " -> " + d.GetNew()
}

func callIDs(ctx context.Context, c *ctl) ([]string, error) {
	a, err := ask(ctx, c, loomv1.AdminClient.ListCalls, &loomv1.ListCallsRequest{Limit: defaultRows})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, row := range a.GetCalls() {
		ids = append(ids, row.GetId()+"\t"+strconv.QuoteToASCII(row.GetPath())+" "+statusOf(row))
	}
	return ids, nil
}
