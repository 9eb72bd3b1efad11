package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"

	"loom/internal/config"
)

const usage = `loomd relays gRPC calls to their backends, prints a line for each, and shows
them decoded on a web page.

Usage:
  loomd -backend HOST:PORT         relay everything to one backend
  loomd -config loom.yaml          relay as the file says
  loomd -demo                      relay to backends of its own, with traffic
  loomd -open FILE.loom            show the calls of a saved capture

Flags:
  -backend TARGET   a gRPC target: host:port, dns:///host:port, unix:/path
  -listen ADDRESS   where to listen without a file (default 127.0.0.1:9999);
                    host:port or unix:/path
  -inspector ADDRESS
                    where the web inspector is without a file (default
                    127.0.0.1:9998); off for none
  -metrics ADDRESS  where /metrics, /healthz and /readyz are without a file
                    (default 127.0.0.1:9997); off for none
  -admin PATH       where the socket for loomctl is, whatever $LOOM_SOCKET and
                    the file say; off for none
  -capture MODE     what is recorded of calls: full, metadata or off; else as
                    the file says (default full)
  -session NAME     write the calls to a file of that name under the state
                    directory, and read them back at the next start
  -config FILE      read loom.yaml, and apply it again when it is edited
  -check            say whether the configuration is right, and exit
  -demo             start demo backends and traffic
  -open FILE        show a capture that was saved in the inspector, without
                    any backend
  -tls-self-signed  speak TLS, with a certificate that is made for this run;
                    for development, with -backend or -demo
  -quiet            print no line per call
  -schema           print the JSON Schema of loom.yaml, and exit
  -version          print the version, and exit

Signals:
  SIGTERM, SIGINT   drain: open calls go on for restart.drain, then are cut;
                    a second one cuts at once
  SIGHUP            reload: a fresh loomd takes over, as loomctl reload has it
  SIGUSR1           log memory, goroutines and descriptors as one line

Exit codes:
  0 ok   1 failed   2 wrong flags   5 wrong configuration

Example:
  loomd -backend localhost:50051
  grpcurl -plaintext localhost:9999 list
`

type flags struct {
	backend, listen, config             string
	inspector, metrics, admin           string
	capture, session, open              string
	check, demo, quiet, schema, version bool
	selfSigned                          bool
	help                                bool
}

// Where a loomd without a file is found.
const (
	defaultListen    = "127.0.0.1:9999"
	defaultInspector = "127.0.0.1:9998"
	defaultMetrics   = "127.0.0.1:9997"
)

// parseFlags reads the command line. It has told the user what is wrong when
// it returns an error.
func parseFlags(args []string, stderr io.Writer) (*flags, error) {
	f := &flags{}
	set := flag.NewFlagSet("loomd", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&f.backend, "backend", "", "")
	set.StringVar(&f.listen, "listen", defaultListen, "")
	set.StringVar(&f.inspector, "inspector", defaultInspector, "")
	set.StringVar(&f.metrics, "metrics", defaultMetrics, "")
	set.StringVar(&f.admin, "admin", "", "")
	set.StringVar(&f.capture, "capture", "", "")
	set.StringVar(&f.session, "session", "", "")
	set.StringVar(&f.open, "open", "", "")
	set.StringVar(&f.config, "config", "", "")
	set.BoolVar(&f.check, "check", false, "")
	set.BoolVar(&f.demo, "demo", false, "")
	set.BoolVar(&f.selfSigned, "tls-self-signed", false, "")
	set.BoolVar(&f.quiet, "quiet", false, "")
	set.BoolVar(&f.schema, "schema", false, "")
	set.BoolVar(&f.version, "version", false, "")
	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		f.help = true
		return f, nil
	}
	if err == nil {
		err = f.conflict(set)
	}
	if err != nil {
		fmt.Fprintf(stderr, "loomd: %v\nRun 'loomd -help' for the flags.\n", err)
		return nil, err
	}
	return f, nil
}

// changed returns a configuration, which may be nil, with what the flags say of
// recording in place of what it says itself.
func (f *flags) changed(cfg *config.Config) *config.Config {
	if cfg == nil {
		return nil
	}
	if f.capture != "" {
		cfg.Capture.Mode = f.capture
	}
	if f.session != "" {
		cfg.Capture.Session = f.session
	}
	return cfg
}

// unlessOff is the address, or nothing if there is to be none.
func unlessOff(address string) string {
	if address == "off" {
		return ""
	}
	return address
}

// conflict says what is wrong with the flags together.
func (f *flags) conflict(set *flag.FlagSet) error {
	if f.schema || f.version {
		return nil
	}
	sources := 0
	for _, given := range []bool{f.backend != "", f.config != "", f.demo, f.open != ""} {
		if given {
			sources++
		}
	}
	addressGiven := ""
	set.Visit(func(g *flag.Flag) {
		switch g.Name {
		case "listen", "inspector", "metrics":
			addressGiven = g.Name
		}
	})
	switch {
	case set.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", set.Arg(0))
	case sources == 0:
		return errors.New("nothing to relay to: give -backend HOST:PORT, -config FILE, -demo or -open FILE")
	case sources > 1:
		return errors.New("-backend, -config, -demo and -open exclude each other")
	case !slices.Contains([]string{"", "full", "metadata", "off"}, f.capture):
		return fmt.Errorf("-capture %q: there are full, metadata and off", f.capture)
	case f.open != "" && (f.session != "" || f.capture != "" || f.check):
		return errors.New("-open shows a saved capture: -session, -capture and -check do not go with it")
	case f.open != "" && unlessOff(f.inspector) == "":
		return errors.New("-open shows the capture in the inspector, which -inspector off leaves out")
	case f.open != "" && f.admin != "":
		return errors.New("-open shows a saved capture, in which there is nothing to operate: -admin does not go with it")
	case f.admin != "" && f.admin != "off" && !filepath.IsAbs(f.admin):
		return fmt.Errorf("-admin %q is no absolute path, and not off", f.admin)
	case f.selfSigned && f.backend == "" && !f.demo:
		return errors.New("-tls-self-signed goes with -backend or -demo: with -config the file names the certificates, under listeners[].tls")
	case f.session != "" && !config.ValidName(f.session):
		return fmt.Errorf("-session %q is not a name: letters, digits, and . _ - after the first", f.session)
	case addressGiven != "" && f.config != "":
		return fmt.Errorf("-%s goes with -backend or -demo: with -config the file says where to listen", addressGiven)
	default:
		return nil
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
	return fmt.Sprintf("loomd %s%s %s %s/%s", v, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
