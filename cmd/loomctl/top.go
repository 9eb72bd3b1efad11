package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	loomv1 "loom/api/loom/v1"
)

// Bounds of what top remembers.
const (
	topWindow  = 10 * time.Second // its figures are those of so long
	topMethods = 500              // others are one row
	topCalls   = 100_000          // of the window; beyond, the oldest go first
	topRows    = 40               // what is shown, the busiest
)

const otherMethods = "(others)"

func (c *ctl) topCommand() *cobra.Command {
	var filter string
	most := 0
	cmd := c.watchable(&cobra.Command{
		Use:   "top",
		Short: "The busiest methods, as they are called",
		Long:  "The busiest methods and where their calls go, over the last 10 seconds, until\nCtrl-C.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.endless = true
			return c.top(cmd.Context(), filter, most)
		},
	})
	cmd.Flags().StringVarP(&filter, "filter", "f", "", "count only calls that the `filter` wants")
	cmd.Flags().IntVarP(&most, "count", "n", 0, "print so many times (default without end)")
	return cmd
}

func (c *ctl) top(ctx context.Context, filter string, most int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan *loomv1.WatchCallsResponse)
	var failed error // set before ended is closed
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		failed = c.follow(ctx, filter, func(a *loomv1.WatchCallsResponse) error {
			select {
			case answers <- a:
				return nil
			case <-ctx.Done():
				return errEnough
			}
		})
	}()
	if terminal(c.stdout) {
		fmt.Fprint(c.stdout, enterScreen)
		defer fmt.Fprint(c.stdout, leaveScreen)
	}
	ticker := time.NewTicker(max(c.interval, 100*time.Millisecond))
	defer ticker.Stop()
	w := &window{methods: map[method]bool{}, began: time.Now()}
	for printed := 0; ; {
		select {
		case <-ended:
			return failed
		case a := <-answers:
			w.take(a, time.Now())
		case now := <-ticker.C:
			if err := c.printAgain(w.view(now), printed == 0); err != nil {
				return err
			}
			if printed++; printed == most {
				cancel()
				<-ended
				return nil
			}
		}
	}
}

// method is a row of top.
type method struct{ path, backend string }

// finished is a call of the window.
type finished struct {
	at   time.Time
	of   method
	took time.Duration
	bad  bool
}

// window is the calls that ended lately.
type window struct {
	began   time.Time
	calls   []finished // oldest first
	methods map[method]bool
	missed  uint64
}

func (w *window) take(a *loomv1.WatchCallsResponse, now time.Time) {
	w.missed += a.GetMissed()
	for _, row := range a.GetCalls() {
		of := method{row.GetPath(), row.GetBackend()}
		if !w.methods[of] && len(w.methods) >= topMethods {
			of = method{path: otherMethods}
		}
		w.methods[of] = true
		w.calls = append(w.calls, finished{
			at: now, of: of, took: time.Duration(row.GetTook()) * time.Microsecond, bad: row.Code == nil || row.GetCode() != 0,
		})
	}
	w.forget(now)
}

// forget drops what is older than the window, and what is too much.
func (w *window) forget(now time.Time) {
	first := max(len(w.calls)-topCalls, 0)
	for first < len(w.calls) && now.Sub(w.calls[first].at) > topWindow {
		first++
	}
	if first == 0 {
		return
	}
	w.calls = append(w.calls[:0], w.calls[first:]...)
	w.methods = make(map[method]bool)
	for i := range w.calls {
		w.methods[w.calls[i].of] = true
	}
}

// view has the busiest first.
func (w *window) view(now time.Time) *view {
	w.forget(now)
	over := min(max(now.Sub(w.began), time.Second), topWindow).Seconds()
	took, bad := map[method][]time.Duration{}, map[method]int{}
	for _, e := range w.calls {
		took[e.of] = append(took[e.of], e.took)
		if e.bad {
			bad[e.of]++
		}
	}
	rows := make([]method, 0, len(took))
	for m := range took {
		rows = append(rows, m)
	}
	slices.SortFunc(rows, func(a, b method) int {
		return cmp.Or(cmp.Compare(len(took[b]), len(took[a])), cmp.Compare(a.path, b.path), cmp.Compare(a.backend, b.backend))
	})
	t := table{columns: append([]column{{title: "METHOD"}, {title: "BACKEND"}}, loadColumns(false)[:4]...)}
	out := &loomv1.ListRoutesResponse{}
	for _, m := range rows[:min(len(rows), topRows)] {
		all := took[m]
		slices.Sort(all)
		l := &loomv1.Load{
			Calls: uint64(len(all)), Errors: uint64(bad[m]), Rate: float64(len(all)) / over, ErrorShare: float64(bad[m]) / float64(len(all)),
			P50: durationpb.New(all[len(all)/2]), P99: durationpb.New(all[len(all)*99/100]),
		}
		t.add(append([]string{m.path, orElse(m.backend, nothing)}, loadValues(l)[:4]...)...)
		out.Routes = append(out.Routes, &loomv1.Route{Match: m.path, Backends: []*loomv1.RouteBackend{{Name: m.backend, Weight: 1}}, Load: l})
	}
	if w.missed > 0 {
		t.add(fmt.Sprintf("(%d changes of calls were missed)", w.missed), "", "", "", "", "")
	}
	return &view{message: out, table: t}
}
