package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

const about = `loomctl shows and changes a running loomd, over its Unix socket.

It finds the socket by --socket, else $LOOM_SOCKET, else it takes the first of
these that answers: admin.sock under $RUNTIME_DIRECTORY, /run/loomd,
$XDG_RUNTIME_DIR/loomd, and loomd-UID under the folder for temporary files.

On a terminal it prints tables. Elsewhere it prints values separated by tabs,
all columns, without a header. JSON is what the API answers, in the mapping of
protobuf, with a version; streams are one JSON text a line.`

const exitHelp = `Exit codes:
  0   ok, and config diff: nothing differs
  1   failed; config diff: something differs
  2   wrong arguments; config diff: it failed
  3   no loomd answers
  4   permission refused
  5   mistakes in the configuration
  64+ calls replay: 64 and the gRPC status of the call, if that is not OK`

const examples = `  loomctl routes                          what is called, how often, how well
  loomctl breaker status -w               the breakers, again every two seconds
  loomctl tail --filter 'is:error'        calls as they fail
  loomctl backends drain shop 10.0.0.7:9000
  loomctl config diff loom.yaml
  loomctl apply                           the edited loom.yaml, now`

// lookupEnv is os.LookupEnv.
type lookupEnv func(string) (string, bool)

// run is loomctl: it returns the exit code.
func run(ctx context.Context, args []string, env lookupEnv, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &ctl{env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRoot(c)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	c.close()
	code, message := verdict(ctx, err, c)
	if message != "" {
		fmt.Fprintln(stderr, "loomctl: "+printable(message))
	}
	return code
}

// newRoot returns the tree of commands.
func newRoot(c *ctl) *cobra.Command {
	root := &cobra.Command{
		Use:               "loomctl",
		Short:             "Show and change a running loomd",
		Long:              about + "\n\n" + exitHelp,
		Example:           examples,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              cobra.NoArgs,
		DisableAutoGenTag: true,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	flags := root.PersistentFlags()
	flags.StringVar(&c.socket, "socket", "", "the `path` of the socket of loomd")
	flags.VarP(&c.format, "output", "o", "print as `format`: table, wide, json, yaml or tsv (default table on a terminal, else tsv)")
	flags.BoolVar(&c.noColor, "no-color", false, "print without colours, as with $NO_COLOR")
	flags.BoolVarP(&c.quiet, "quiet", "q", false, "say nothing about what was done")
	flags.DurationVar(&c.timeout, "timeout", defaultTimeout, "how long loomd may take to answer")
	// It fails for a flag that is not there, which this one is.
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formatNames(), cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(
		c.statusCommand(), c.versionCommand(), c.routesCommand(), c.backendsCommand(), c.breakerCommand(), c.configCommand(), c.applyCommand(),
		c.captureCommand(), c.reloadCommand(), c.tailCommand(), c.topCommand(), c.callsCommand(), c.uiCommand(), c.profileCommand(), c.manCommand(),
	)
	return root
}
