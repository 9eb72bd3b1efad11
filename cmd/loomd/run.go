package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"loom/internal/adminclient"
	"loom/internal/config"
	"loom/internal/server"
)

// Exit codes, as --help documents them.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitInvalid = 5
)

// lookupEnv is os.LookupEnv.
type lookupEnv func(string) (string, bool)

// run is loomd: it returns the exit code.
func run(ctx context.Context, args []string, env lookupEnv, stdout, stderr io.Writer) int {
	origin, err := newOrigin(env)
	if err != nil {
		return report(stderr, err)
	}
	code, err := start(ctx, origin, args, env, stdout, stderr)
	if err != nil {
		origin.fail(err)
		return report(stderr, err)
	}
	return code
}

// start does what the flags say, until it is done. It returns the exit code
// unless there is an error to report.
func start(ctx context.Context, origin *origin, args []string, env lookupEnv, stdout, stderr io.Writer) (int, error) {
	f, err := parseFlags(args, stderr)
	if err != nil {
		origin.fail(err)
		return exitUsage, nil
	}
	switch {
	case f.help:
		fmt.Fprint(stdout, usage)
		return exitOK, nil
	case f.version:
		fmt.Fprintln(stdout, version())
		return exitOK, nil
	case f.schema:
		return exitOK, writeSchema(stdout)
	}
	// Whoever reads our output may go away: calls go on (a write then fails).
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	if f.open != "" {
		return exitOK, view(ctx, f, env, signals, stderr)
	}
	hangups := notifyHangups()
	defer signal.Stop(hangups)
	demo, cfg, warnings, err := configuration(ctx, f, env)
	if warnings != "" {
		fmt.Fprintln(stderr, warnings)
	}
	if err != nil {
		return exitFailed, err
	}
	defer demo.close()
	if f.check {
		fmt.Fprintln(stdout, "ok")
		return exitOK, nil
	}
	if _, set := env("GOGC"); !set {
		// The live heap of a relay is a few megabytes: with the default of
		// 100 the collector runs so often that it is a fifth of the CPU.
		debug.SetGCPercent(400)
	}
	if _, set := env("GOMAXPROCS"); !set {
		defer scaleProcs()()
	}
	log, level := newLogger(&cfg.Log, stderr, env)
	defer func() { _ = log.Sync() }() // a terminal cannot be synced, and says so
	d := &daemon{
		origin: origin, flags: f, env: env, cfg: cfg, demo: demo, log: log, level: &level,
		signals: signals, hangups: hangups, stdout: stdout, stderr: stderr,
	}
	return exitOK, withFlag(d.serve(ctx), f)
}

// stateDir is where sessions and descriptors are kept between runs (what
// systemd gives, else as the XDG base directory specification says); empty if there is none.
func stateDir(env lookupEnv) string {
	if dir, ok := env("STATE_DIRECTORY"); ok && dir != "" {
		return dir
	}
	if dir, ok := env("XDG_STATE_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "loomd")
	}
	if home, ok := env("HOME"); ok && filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "loomd")
	}
	return ""
}

// adminSocket is where operators reach this loomd: where a flag, the
// environment or the file says, in this order, else where loomctl looks.
func adminSocket(f *flags, cfg *config.Config, env lookupEnv) server.AdminSocket {
	here := adminclient.Here(env)
	for _, path := range []string{f.admin, here.Named(), cfg.Admin.Socket} {
		if path != "" {
			return server.AdminSocket{Path: unlessOff(path), Shared: here.Shared(path)}
		}
	}
	path := here.Default()
	return server.AdminSocket{Path: path, Chosen: true, Shared: here.Shared(path)}
}

// introduceInspector tells where to look. Others than those who may see the
// calls read the journal, so the token is not for it.
func introduceInspector(w io.Writer, env lookupEnv, url string) {
	if url == "" {
		return
	}
	if journaled(w, env) {
		place, _, _ := strings.Cut(url, "?")
		url = place + " (loomctl ui shows it with its token)"
	}
	fmt.Fprintf(w, "Inspector: %s\n", url)
}

// configuration returns what the flags ask for: a file, a single backend, or the demo.
func configuration(ctx context.Context, f *flags, env lookupEnv) (*demoParts, *config.Config, string, error) {
	switch {
	case f.demo:
		demo, cfg, err := newDemo(ctx, f)
		return demo, f.changed(cfg), "", err
	case f.config != "":
		cfg, warnings, err := loadFile(f, env)
		return nil, cfg, warnings.String(), err
	default:
		cfg, err := config.ForBackend(f.listen, f.backend, unlessOff(f.inspector), unlessOff(f.metrics))
		return nil, f.changed(cfg), "", err
	}
}

// loadFile reads the file that a flag names.
func loadFile(f *flags, env lookupEnv) (*config.Config, config.Warnings, error) {
	cfg, warnings, err := config.LoadWith(f.config, env, func(c *config.Config) []config.Finding {
		return server.CheckFiles(c, time.Now(), f.check)
	})
	return f.changed(cfg), warnings, err
}

// configFile is the file that is applied when it changes; nil if there is none.
func configFile(f *flags, env lookupEnv) *server.ConfigFile {
	if f.config == "" {
		return nil
	}
	return &server.ConfigFile{
		Path: f.config,
		Load: func() (*config.Config, config.Warnings, error) { return loadFile(f, env) },
	}
}

// withFlag adds to the error of an address which flag chooses it.
func withFlag(err error, f *flags) error {
	taken, ok := errors.AsType[*server.ListenError](err)
	if !ok || f.config != "" {
		return err
	}
	switch name := taken.Listener; {
	case f.open != "":
		return fmt.Errorf("%w; choose another address with -inspector", err)
	case name == "admin":
		return fmt.Errorf("%w; choose another path with -admin, or -admin off", err)
	case name == "inspector", name == "metrics":
		return fmt.Errorf("%w; choose another address with -%s, or -%s off", err, name, name)
	default:
		return fmt.Errorf("%w; choose another address with -listen", err)
	}
}

// report writes err and returns the exit code that goes with it.
func report(stderr io.Writer, err error) int {
	if invalid, ok := errors.AsType[config.Errors](err); ok {
		fmt.Fprintln(stderr, invalid.Error())
		return exitInvalid
	}
	fmt.Fprintln(stderr, "loomd:", err)
	return exitFailed
}

func writeSchema(stdout io.Writer) error {
	if _, err := stdout.Write(config.Schema()); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	return nil
}
