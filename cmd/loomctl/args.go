package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// takes wants an argument for each name.
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return fmt.Errorf("%s takes %s", cmd.CommandPath(), strings.Join(names, " "))
		}
		return nil
	}
}

// oneOf wants one of the words.
func oneOf(words []string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || !slices.Contains(words, args[0]) {
			return fmt.Errorf("%s takes one of %s", cmd.CommandPath(), strings.Join(words, ", "))
		}
		return nil
	}
}
