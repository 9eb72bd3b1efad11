package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	loomv1 "loom/api/loom/v1"
)

// maxConfig is the largest file that is sent, in bytes: loomd takes no larger
// one.
const maxConfig = 1 << 20

func (c *ctl) configCommand() *cobra.Command {
	root := &cobra.Command{
		Use:     "config",
		Short:   "The configuration in force, and files that could take its place",
		Example: "  loomctl config show\n  loomctl config diff loom.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(
		&cobra.Command{
			Use: "show", Short: "The configuration in force, without its secrets", Args: cobra.NoArgs,
			Long: "The configuration in force, defaults included, without its secrets: path and\nvalue of each setting.",
			RunE: c.showConfig,
		},
		&cobra.Command{
			Use: "check FILE", Short: "Whether a loom.yaml is right, as the running loomd sees it", Args: takes("FILE"),
			Long: "Whether a loom.yaml is right, as the running loomd sees it: with its\nenvironment. - reads the standard input. Exits with 5 if it is not.",
			RunE: c.checkConfig,
		},
		&cobra.Command{
			Use: "diff FILE", Short: "What a loom.yaml would change", Args: takes("FILE"),
			Long: "What a loom.yaml would change of the configuration in force. - reads the\nstandard input. Exits with 0 if that is nothing, with 1 if it is something,\nwith 5 if the file has mistakes, and with 2 or more if anything failed.",
			RunE: c.diffConfig,
		})
	return root
}

func (c *ctl) showConfig(cmd *cobra.Command, _ []string) error {
	a, err := ask(cmd.Context(), c, loomv1.AdminClient.GetConfig, &loomv1.GetConfigRequest{})
	if err != nil {
		return err
	}
	t := facts()
	for line := range strings.Lines(a.GetText()) {
		path, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		t.add(path, value)
	}
	return c.print(&view{message: a, table: t, text: func(w io.Writer, p painter) {
		fmt.Fprintln(w, p.paint(fmt.Sprintf("# %s, %s, loaded %s ago", printable(orElse(a.GetPath(), "flags")), a.GetHash(), since(a.GetLoaded(), time.Now())), dim))
		fmt.Fprint(w, printable(a.GetText()))
		if a.GetError() != "" {
			fmt.Fprintln(w, p.paint(printable(fmt.Sprintf("# the file is not in force, since %s: %s", since(a.GetErrorSince(), time.Now()), a.GetError())), bad))
		}
	}})
}

func (c *ctl) checkConfig(cmd *cobra.Command, args []string) error {
	text, err := c.readFile(args[0])
	if err != nil {
		return &failure{exitFailed, err}
	}
	a, err := ask(cmd.Context(), c, loomv1.AdminClient.CheckConfig, &loomv1.CheckConfigRequest{Name: args[0], Text: text})
	if err != nil {
		return err
	}
	for _, w := range a.GetWarnings() {
		fmt.Fprintln(c.stderr, printable(w.GetText()))
	}
	return c.judged(a, a.GetErrors(), func() error {
		c.say("ok")
		return nil
	})
}

func (c *ctl) diffConfig(cmd *cobra.Command, args []string) error {
	text, err := c.readFile(args[0])
	if err != nil {
		return &failure{exitUsage, err}
	}
	a, err := ask(cmd.Context(), c, loomv1.AdminClient.DiffConfig, &loomv1.DiffConfigRequest{Name: args[0], Text: text})
	if f, ok := errors.AsType[*failure](err); ok && f.code == exitFailed {
		return &failure{exitUsage, f.err} // 1 says that something differs
	}
	if err != nil {
		return err
	}
	return c.judged(a, a.GetErrors(), func() error {
		if err := c.tellChanges(a.GetChanges()); err != nil || len(a.GetChanges()) == 0 {
			return err
		}
		return exit(exitFailed)
	})
}

// judged prints what loomd found wrong with a file, or goes on. As JSON or YAML
// the whole answer is printed in either case.
func (c *ctl) judged(answer proto.Message, wrong []*loomv1.ConfigProblem, good func() error) error {
	if c.structured() {
		if err := c.print(&view{message: answer}); err != nil {
			return err
		}
	} else {
		for _, e := range wrong {
			fmt.Fprintln(c.stderr, printable(e.GetText()))
		}
	}
	if len(wrong) > 0 {
		return exit(exitInvalid)
	}
	return good()
}

func changeTone(line string) tone {
	switch {
	case strings.HasPrefix(line, "+"):
		return good
	case strings.HasPrefix(line, "-"):
		return bad
	}
	return doubt
}

// readFile reads a configuration; - stands for the standard input.
func (c *ctl) readFile(name string) ([]byte, error) {
	from := c.stdin
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // the user names the file
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		defer f.Close()
		from = f
	}
	// One byte more, so that loomd sees that it is too large, and says so.
	text, err := io.ReadAll(io.LimitReader(from, maxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return text, nil
}
