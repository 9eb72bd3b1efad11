package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (c *ctl) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man [FOLDER]",
		Short:   "The manual pages",
		Long:    "The manual page of loomctl; with a folder, that of each command into a file\nthere.",
		Example: "  loomctl man | man -l -\n  loomctl man /usr/local/share/man/man1",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.write([]byte(manual(cmd.Root())), nil)
			}
			return writeManuals(args[0], cmd.Root())
		},
	}
}

// writeManuals writes the page of a command and those of the commands below.
func writeManuals(folder string, cmd *cobra.Command) error {
	if !cmd.IsAvailableCommand() && cmd.HasParent() {
		return nil
	}
	path := filepath.Join(folder, manualName(cmd)+".1")
	if err := os.WriteFile(path, []byte(manual(cmd)), 0o644); err != nil { //nolint:gosec // manuals are for all
		return &failure{exitFailed, fmt.Errorf("write manual page: %w", err)}
	}
	for _, below := range cmd.Commands() {
		if err := writeManuals(folder, below); err != nil {
			return err
		}
	}
	return nil
}

func manualName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manual is the page of a command in the language of man(7).
func manual(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %q 1 \"\" \"loomctl\" \"Loom\"\n", strings.ToUpper(manualName(cmd)))
	b.WriteString(".SH NAME\n" + roff(manualName(cmd)+" - "+cmd.Short))
	b.WriteString(".SH SYNOPSIS\n" + ".B " + roff(cmd.UseLine()))
	b.WriteString(".SH DESCRIPTION\n" + verbatim(orElse(cmd.Long, cmd.Short)))
	if cmd.HasAvailableSubCommands() {
		b.WriteString(".SH COMMANDS\n")
		for _, below := range cmd.Commands() {
			if below.IsAvailableCommand() {
				b.WriteString(".TP\n.B " + roff(below.Name()) + roff(below.Short))
			}
		}
	}
	if flags := manualFlags(cmd.NonInheritedFlags()); flags != "" {
		b.WriteString(".SH OPTIONS\n" + flags)
	}
	if flags := manualFlags(cmd.InheritedFlags()); flags != "" {
		b.WriteString(".SH OPTIONS OF ALL COMMANDS\n" + flags)
	}
	if cmd.Example != "" {
		b.WriteString(".SH EXAMPLES\n" + verbatim(cmd.Example))
	}
	if cmd.HasParent() {
		b.WriteString(".SH EXIT STATUS\n" + verbatim(exitHelp))
	}
	b.WriteString(".SH SEE ALSO\n" + roff(seeAlso(cmd)))
	return b.String()
}

func manualFlags(set *pflag.FlagSet) string {
	var b strings.Builder
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		b.WriteString(".TP\n.B " + roff(name) + roff(usage))
	})
	return b.String()
}

func seeAlso(cmd *cobra.Command) string {
	var pages []string
	if cmd.HasParent() {
		pages = append(pages, manualName(cmd.Parent())+"(1)")
	}
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() {
			pages = append(pages, manualName(below)+"(1)")
		}
	}
	return strings.Join(pages, ", ")
}

// roff is text that man(7) shows as it is.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// verbatim keeps the lines of a text.
func verbatim(text string) string { return ".nf\n" + roff(text) + ".fi\n" }
