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
	"syscall"
	"time"

	"go.uber.org/zap"

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
	f, err := parseFlags(args, stderr)
	if err != nil {
		return exitUsage
	}
	switch {
	case f.help:
		fmt.Fprint(stdout, usage)
		return exitOK
	case f.version:
		fmt.Fprintln(stdout, version())
		return exitOK
	case f.schema:
		return writeSchema(stdout, stderr)
	}
	// Whoever reads our output may go away: calls go on (a write then fails).
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	if f.open != "" {
		return view(ctx, f, env, signals, stderr)
	}
	demo, cfg, warnings, err := configuration(ctx, f, env)
	if warnings != "" {
		fmt.Fprintln(stderr, warnings)
	}
	if err != nil {
		return report(stderr, err)
	}
	defer demo.close()
	f.change(&cfg.Capture)
	if f.check {
		fmt.Fprintln(stdout, "ok")
		return exitOK
	}
	if _, set := env("GOGC"); !set {
		// The live heap of a relay is a few megabytes: with the default of
		// 100 the collector runs so often that it is a fifth of the CPU.
		debug.SetGCPercent(400)
	}
	if _, set := env("GOMAXPROCS"); !set {
		defer scaleProcs()()
	}
	log := newLogger(&cfg.Log, stderr, env)
	defer func() { _ = log.Sync() }() // a terminal cannot be synced, and says so
	if err := serve(ctx, f, env, cfg, demo, log, signals, stdout, stderr); err != nil {
		return report(stderr, withFlag(err, f))
	}
	return exitOK
}

// serve runs the daemon until a signal ends it.
func serve(ctx context.Context, f *flags, env lookupEnv, cfg *config.Config, demo *demoParts, log *zap.Logger, signals <-chan os.Signal, stdout, stderr io.Writer) error {
	var ended []server.Ended
	if !f.quiet {
		lines := server.NewCallLines(stdout, colourful(stdout, env))
		defer lines.Close()
		ended = append(ended, lines)
	}
	own, err := newOwnCertificate(f)
	if err != nil {
		return err
	}
	defer own.remove()
	notifier, sockets := service(env, log)
	s, err := server.New(cfg, server.Options{
		Certificate: own.shown(),
		Log:         log, Ended: ended, StateDir: stateDir(env), Version: version(), ConfigPath: f.config,
		Admin: adminSocket(f, cfg, env), Systemd: notifier, Sockets: sockets,
	})
	if err != nil {
		return err
	}
	stopMemory := reportMemory(log)
	defer stopMemory()
	introduceInspector(stderr, s.InspectorURL())
	own.introduce(stderr, s.Addresses()[0])
	demo.introduce(stderr, s.Addresses()[0], own)
	stopDemo := demo.start(ctx, log, s.Addresses()[0], own)

	running, stop := context.WithCancel(ctx)
	defer stop()
	cut, cutOff := context.WithCancel(context.Background())
	defer cutOff()
	go func() {
		select {
		case sig := <-signals:
			log.Info("draining", zap.Stringer("signal", sig), zap.Duration("at_most", time.Duration(cfg.Restart.Drain)))
		case <-ctx.Done():
		}
		stopDemo()
		stop()
		t := time.NewTimer(time.Duration(cfg.Restart.Drain))
		defer t.Stop()
		select {
		case <-signals:
		case <-t.C:
		case <-cut.Done():
		}
		cutOff()
	}()
	s.Serve(running, cut)
	s.LogTotals()
	return nil
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

// introduceInspector tells where to look.
func introduceInspector(w io.Writer, url string) {
	if url != "" {
		fmt.Fprintf(w, "Inspector: %s\n", url)
	}
}

// configuration returns what the flags ask for: a file, a single backend, or the demo.
func configuration(ctx context.Context, f *flags, env lookupEnv) (*demoParts, *config.Config, string, error) {
	switch {
	case f.demo:
		demo, cfg, err := newDemo(ctx, f)
		return demo, cfg, "", err
	case f.config != "":
		cfg, warnings, err := config.LoadWith(f.config, env, func(c *config.Config) []config.Finding {
			return server.CheckFiles(c, time.Now(), f.check)
		})
		return nil, cfg, warnings.String(), err
	default:
		cfg, err := config.ForBackend(f.listen, f.backend, unlessOff(f.inspector), unlessOff(f.metrics))
		return nil, cfg, "", err
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

func writeSchema(stdout, stderr io.Writer) int {
	if _, err := stdout.Write(config.Schema()); err != nil {
		return report(stderr, fmt.Errorf("write schema: %w", err))
	}
	return exitOK
}
