package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/structpb"

	loomv1 "loom/api/loom/v1"
)

func (c *ctl) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "The versions of loomctl and of loomd",
		Long:  "The versions of loomctl and of loomd. Without a loomd that answers, only the first.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			daemon := ""
			st, err := ask(cmd.Context(), c, loomv1.AdminClient.GetStatus, &loomv1.GetStatusRequest{})
			if err == nil {
				daemon = st.GetVersion()
			} else {
				c.say("loomctl: %v", err)
			}
			both, err := structpb.NewStruct(map[string]any{"loomctl": version(), "loomd": daemon})
			if err != nil {
				return &failure{exitFailed, fmt.Errorf("print the versions: %w", err)}
			}
			t := table{bare: true, columns: []column{{}}}
			t.add(version())
			if daemon != "" {
				t.add(daemon)
			}
			return c.print(&view{message: both, table: t})
		},
	}
}

// version names the build.
func version() string {
	v, revision := "devel", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" && info.Main.Version != "(devel)" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				revision = " " + s.Value[:12]
			}
		}
	}
	return fmt.Sprintf("loomctl %s%s %s %s/%s", v, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
