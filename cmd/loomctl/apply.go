package main

import (
	"fmt"

	"github.com/spf13/cobra"

	loomv1 "loom/api/loom/v1"
)

func (c *ctl) applyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "apply",
		Short: "Put the edited loom.yaml in force now",
		Long: "Put the edited loom.yaml in force, and print what changes. loomd does so by\n" +
			"itself soon after an edit; this returns when it is done, and says what is\n" +
			"wrong. The file is applied as a whole or not at all: after a mistake (5), or\n" +
			"if something of it cannot be had or needs a reload (1), what ran before stays.",
		Example: "  loomctl config check loom.yaml && loomctl apply",
		Args:    cobra.NoArgs,
		RunE:    c.apply,
	}
}

func (c *ctl) apply(cmd *cobra.Command, _ []string) error {
	a, err := ask(cmd.Context(), c, loomv1.AdminClient.Apply, &loomv1.ApplyRequest{})
	if err != nil {
		return err
	}
	for _, w := range a.GetWarnings() {
		fmt.Fprintln(c.stderr, printable(w.GetText()))
	}
	return c.judged(a, a.GetErrors(), func() error { return c.tellChanges(a.GetChanges()) })
}

// tellChanges prints what differs, a line each, or that nothing does.
func (c *ctl) tellChanges(changes []string) error {
	t := table{bare: true, columns: []column{{tone: changeTone}}}
	for _, line := range changes {
		t.add(line)
	}
	if !c.structured() {
		if err := c.print(&view{table: t}); err != nil {
			return err
		}
	}
	if len(changes) == 0 {
		c.say("no change")
	}
	return nil
}
