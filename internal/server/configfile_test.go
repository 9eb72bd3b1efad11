package server

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"loom/internal/config"
)

// edited is a server whose file a test edits.
type edited struct {
	*running
	path string
}

func serveFile(t *testing.T, text string) *edited {
	t.Helper()
	path := in(t.TempDir(), "loom.yaml")
	e := &edited{path: path}
	writeText(t, path, text)
	load := func() (*config.Config, config.Warnings, error) {
		return config.Load(path, func(string) (string, bool) { return "", false })
	}
	cfg, _, err := load()
	if err != nil {
		t.Fatal(err)
	}
	core, log := observer.New(zap.DebugLevel)
	level := zap.NewAtomicLevelAt(zap.DebugLevel)
	s, err := New(cfg, Options{Log: zap.New(core, zap.IncreaseLevel(level)), Level: &level, File: &ConfigFile{path, load}})
	if err != nil {
		t.Fatal(err)
	}
	e.running = run(t, s, log)
	return e
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is written to the file is in force soon, and without a word from anybody.
func TestFileIsApplied(t *testing.T) {
	hold := new(sync.Mutex)
	text := oneBackend(echo(t, hold), anyPort)
	e := serveFile(t, text)
	eventually(t, "the server serves", func() bool { _, err := e.ApplyFile(t.Context()); return err == nil })
	start := time.Now()
	writeText(t, e.path, text+"limits: {streams: 17}\nlog: {level: warn}\n")
	eventually(t, "the change is in force", func() bool { return e.now().cfg.Limits.Streams == 17 })
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	if e.opts.Level.Level() != zap.WarnLevel {
		t.Errorf("the level of the log is %v", e.opts.Level.Level())
	}
	if got := e.configFigures(); got.Problem || got.Applied != 1 || got.Refused != 0 || time.Since(got.Since) > time.Minute {
		t.Errorf("figures %+v", got)
	}
}

// A file that is wrong is kept out, shown, and logged once, until it is mended.
func TestWrongFile(t *testing.T) {
	hold := new(sync.Mutex)
	text := oneBackend(echo(t, hold), anyPort)
	e := serveFile(t, text)
	was := e.now()
	writeText(t, e.path, text+"limits: {streams: many}\n")
	want := e.path + ":5:19: "
	eventually(t, "the problem is shown", func() bool { return strings.HasPrefix(e.configView().Error, want) })
	if v := e.configView(); time.Since(v.ErrorSince) > time.Minute || v.Path != e.path {
		t.Errorf("it is shown as %+v", v)
	}
	for range 3 {
		var wrong config.Errors
		if _, err := e.ApplyFile(t.Context()); !errors.As(err, &wrong) {
			t.Errorf("applied by hand: %v", err)
		}
	}
	if n := e.log.FilterMessageSnippet("is not applied").Len(); n != 1 {
		t.Errorf("%d lines in the log, want 1", n)
	}
	if e.now() != was {
		t.Error("something else is in force")
	}
	if got := e.configFigures(); !got.Problem || got.Refused != 1 {
		t.Errorf("figures %+v", got)
	}
	writeText(t, e.path, text)
	eventually(t, "nothing is wrong any more", func() bool { return e.configView().Error == "" })
	if e.configFigures().Problem || e.log.FilterMessageSnippet("is right again").Len() != 1 {
		t.Error("that it is right again is not said")
	}
}

// A file that needs a reload says so until it is reloaded or taken back.
func TestFileNeedsReload(t *testing.T) {
	hold := new(sync.Mutex)
	text := oneBackend(echo(t, hold), anyPort)
	e := serveFile(t, text)
	writeText(t, e.path, text+"limits: {streams: 17}\nlog: {format: json}\n")
	const want = "log.format: auto -> json cannot be changed in a running process: run 'loomctl reload'"
	eventually(t, "the problem is shown", func() bool { return e.configView().Error == want })
	if e.now().cfg.Limits.Streams == 17 {
		t.Error("a part of it is in force")
	}
}

// A file that is gone for a moment is no problem; one that stays away is.
func TestFileIsGone(t *testing.T) {
	hold := new(sync.Mutex)
	text := oneBackend(echo(t, hold), anyPort)
	e := serveFile(t, text)
	eventually(t, "the server serves", func() bool { _, err := e.ApplyFile(t.Context()); return err == nil })
	if err := os.Remove(e.path); err != nil {
		t.Fatal(err)
	}
	time.Sleep(belief / 2)
	writeText(t, e.path, text+"limits: {streams: 17}\n")
	eventually(t, "the change is in force", func() bool { return e.now().cfg.Limits.Streams == 17 })
	if n := e.configFigures().Refused; n != 0 {
		t.Errorf("%d problems", n)
	}
	if err := os.Remove(e.path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the problem is shown", func() bool { return strings.Contains(e.configView().Error, "no such file") })
}

// An edit that comes while nothing can be applied, as during a reload that
// fails, is in force when that is over.
func TestFileChangesMeanwhile(t *testing.T) {
	hold := new(sync.Mutex)
	text := oneBackend(echo(t, hold), anyPort)
	e := serveFile(t, text)
	eventually(t, "the server serves", func() bool { _, err := e.ApplyFile(t.Context()); return err == nil })
	e.settled(false)
	writeText(t, e.path, text+"limits: {streams: 17}\n")
	time.Sleep(belief)
	if e.now().cfg.Limits.Streams == 17 {
		t.Error("it is applied although nothing may be")
	}
	e.settled(true)
	eventually(t, "the change is in force", func() bool { return e.now().cfg.Limits.Streams == 17 })
	if n := e.configFigures().Refused; n != 0 {
		t.Errorf("%d problems", n)
	}
}

// What could not be had is tried again: the file need not be touched.
func TestFileIsTriedAgain(t *testing.T) {
	hold := new(sync.Mutex)
	address := echo(t, hold)
	e, taken := serveFile(t, oneBackend(address, anyPort)), serve(t, oneBackend(address, anyPort))
	at := taken.Addresses()[0]
	writeText(t, e.path, oneBackend(address, anyPort, `{name: more, address: "`+at+`"}`))
	eventually(t, "the problem is shown", func() bool { return strings.Contains(e.configView().Error, "address already in use") })
	taken.stop()
	taken.wantServed()
	eventually(t, "it listens", func() bool { return len(e.Addresses()) == 2 && e.configView().Error == "" })
}
