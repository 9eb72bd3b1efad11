package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	loomv1 "loom/api/loom/v1"
)

func (c *ctl) statusCommand() *cobra.Command {
	return c.watchable(&cobra.Command{
		Use:     "status",
		Short:   "Which loomd this is, and how it is doing",
		Example: "  loomctl status\n  loomctl status -o json | jq .limits",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.show(cmd.Context(), c.status)
		},
	})
}

func (c *ctl) status(ctx context.Context) (*view, error) {
	st, err := ask(ctx, c, loomv1.AdminClient.GetStatus, &loomv1.GetStatusRequest{})
	if err != nil {
		return nil, err
	}
	t := facts()
	t.add("version", st.GetVersion())
	t.add("socket", c.where())
	t.add("pid", count(st.GetPid()))
	t.add("running for", since(st.GetStarted(), time.Now()))
	addGenerations(&t, st.GetGenerations())
	t.add("config", orElse(st.GetConfigPath(), "flags"))
	if st.GetConfigProblem() != "" {
		t.add("config problem", fmt.Sprintf("since %s: %s", since(st.GetConfigProblemSince(), time.Now()), st.GetConfigProblem()))
	}
	for _, l := range st.GetListeners() {
		t.add("listener "+l.GetName(), l.GetAddress()+tlsMark(l))
		for _, k := range l.GetCertificates() {
			t.add("certificate", k.GetName()+", until "+k.GetExpires()+inBrackets(k.GetError()))
		}
		if l.GetProblem() != "" {
			t.add("problem", l.GetProblem())
		}
	}
	t.add("routes", count(st.GetRoutes()))
	t.add("backends", count(st.GetBackends()))
	k := st.GetCapture()
	t.add("capture", fmt.Sprintf("%s, %d of %d calls kept, %d open", modeName(k.GetMode()), k.GetKept(), k.GetSeen(), k.GetOpen()))
	t.add("memory", size(st.GetMemoryBytes()))
	t.add("goroutines", count(st.GetGoroutines()))
	var hit []string
	for _, l := range st.GetLimits() {
		if l.GetHits() > 0 {
			hit = append(hit, fmt.Sprintf("%s %d", l.GetName(), l.GetHits()))
		}
	}
	t.add("limits hit", orElse(strings.Join(hit, ", "), "none"))
	if st.GetReadOnly() {
		t.add("your rights", "to look and no more")
	}
	return &view{message: st, table: t}, nil
}

// addGenerations adds the processes of a loomd, the one that serves first.
func addGenerations(t *table, all []*loomv1.Generation) {
	for _, g := range all {
		age := "it has yet to say"
		if g.GetStarted() != nil {
			age = "for " + since(g.GetStarted(), time.Now())
		}
		t.add(fmt.Sprintf("generation %d", g.GetNumber()), fmt.Sprintf("pid %d, %s, %d connections, %d calls: %s",
			g.GetPid(), age, g.GetConnections(), g.GetCalls(), g.GetWhy()))
	}
}

// facts is a table of names and values.
func facts() table {
	return table{bare: true, columns: []column{{tone: func(string) tone { return dim }}, {}}}
}

func tlsMark(l *loomv1.Listener) string {
	if l.GetTls() {
		return inBrackets("TLS")
	}
	return ""
}

func inBrackets(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func orElse(text, instead string) string {
	if text == "" {
		return instead
	}
	return text
}
