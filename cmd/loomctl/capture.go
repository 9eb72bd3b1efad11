package main

import (
	"strings"

	"github.com/spf13/cobra"

	loomv1 "loom/api/loom/v1"
)

const modePrefix = "CAPTURE_MODE_"

func (c *ctl) captureCommand() *cobra.Command {
	modes := []string{"full", "metadata", "off"}
	return &cobra.Command{
		Use:       "capture MODE",
		Short:     "How much is recorded of the calls that begin from now on",
		Long:      "How much is recorded of the calls that begin from now on, whatever their\nroute says: full, metadata (all but the bytes of messages) or off.",
		Example:   "  loomctl capture metadata",
		Args:      oneOf(modes),
		ValidArgs: modes,
		RunE: func(cmd *cobra.Command, args []string) error {
			mode := loomv1.CaptureMode(loomv1.CaptureMode_value[modePrefix+strings.ToUpper(args[0])])
			a, err := ask(cmd.Context(), c, loomv1.AdminClient.SetCaptureMode, &loomv1.SetCaptureModeRequest{Mode: mode})
			if err != nil {
				return err
			}
			if c.structured() {
				return c.print(&view{message: a})
			}
			c.say("capture: %s -> %s", modeName(a.GetBefore()), modeName(mode))
			return nil
		},
	}
}

// modeName is a capture mode as loom.yaml writes it.
func modeName(m loomv1.CaptureMode) string {
	return strings.ToLower(strings.TrimPrefix(m.String(), modePrefix))
}
