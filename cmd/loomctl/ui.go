package main

import (
	"github.com/spf13/cobra"

	loomv1 "loom/api/loom/v1"
)

func (c *ctl) uiCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ui",
		Short:   "Where the web inspector is, with the token that opens it",
		Example: "  xdg-open \"$(loomctl ui)\"",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := ask(cmd.Context(), c, loomv1.AdminClient.GetInspectorURL, &loomv1.GetInspectorURLRequest{})
			if err != nil {
				return err
			}
			t := table{bare: true, columns: []column{{}}}
			t.add(a.GetUrl())
			return c.print(&view{message: a, table: t})
		},
	}
}
