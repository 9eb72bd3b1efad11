package loomctl

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "take over what loomctl prints into the scripts")

// TestScripts runs each script beside a loomd of its own, which has had five
// calls.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			w := newWorld(t, "")
			w.call(t)
			testscript.Run(t, testscript.Params{
				Files: []string{file}, UpdateScripts: *update, RequireUniqueNames: true,
				Setup: func(e *testscript.Env) error {
					e.Setenv("LOOM_SOCKET", w.socket)
					e.Setenv("CONFIG", w.confFile)
					e.Setenv("UP", w.up)
					e.Setenv("PATH", tools+string(os.PathListSeparator)+e.Getenv("PATH"))
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){"loomctl": w.script, "stable": w.stable, "id": w.id, "edit": w.edit},
			})
		})
	}
}

// script is the command loomctl of the scripts: loomctl CODE ARGUMENTS... runs
// it and wants the exit code. What it prints is stdout and stderr of the
// script, without what differs from one run to the next.
func (w *world) script(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: loomctl CODE ARGUMENTS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	command := exec.Command(filepath.Join(tools, "loomctl"), args[1:]...)
	command.Env = append(os.Environ(), "LOOM_SOCKET="+ts.Getenv("LOOM_SOCKET"))
	command.Dir = ts.MkAbs(".")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exit) {
		ts.Check(err)
	}
	_, _ = ts.Stdout().Write([]byte(w.steady(stdout.String())))
	_, _ = ts.Stderr().Write([]byte(w.steady(stderr.String())))
	if got := command.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// edit is the command that replaces a text in the file that loomd was started
// with, and nothing else: edit OLD NEW, where \n begins a line. Without arguments it is as it was.
func (w *world) edit(ts *testscript.TestScript, neg bool, args []string) {
	text := w.config()
	if len(args) == 2 && strings.Contains(text, args[0]) {
		text = strings.Replace(text, args[0], strings.ReplaceAll(args[1], `\n`, "\n"), 1)
	} else if neg || len(args) > 0 {
		ts.Fatalf("usage: edit OLD NEW, of which OLD is in the file")
	}
	ts.Check(os.WriteFile(w.confFile, []byte(text), 0o600))
}

// stable is the command that waits until all five calls are counted.
func (w *world) stable(ts *testscript.TestScript, _ bool, _ []string) {
	for range 3000 {
		var out bytes.Buffer
		command := exec.Command(filepath.Join(tools, "loomctl"), "calls", "-f", "is:ended", "--socket", w.socket)
		command.Stdout = &out
		if command.Run() == nil && strings.Count(out.String(), "\n") >= 5 {
			return
		}
	}
	ts.Fatalf("five calls never appeared")
}

// id is the command that sets a variable to the id of the newest call that a
// filter wants: id VARIABLE FILTER.
func (w *world) id(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: id VARIABLE FILTER")
	}
	output, err := exec.Command(filepath.Join(tools, "loomctl"), "calls", "-n", "1", "-f", args[1], "--socket", w.socket).Output()
	ts.Check(err)
	fields := strings.Split(strings.TrimSuffix(string(output), "\n"), "\t")
	if len(fields) < 7 {
		ts.Fatalf("no call: %q", output)
	}
	ts.Setenv(args[0], fields[6])
}

// unsteady is what differs from one run to the next, and what stands for it.
var unsteady = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`), "DATE"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\.\d{3}\b`), "TIME"},
	{regexp.MustCompile(`\b[0-9a-f]{7,12}-(\d+)\b`), "ID-$1"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "CALLER"},
	{regexp.MustCompile(`grpc-timeout: \d+u`), "grpc-timeout: LEFT"},
	{regexp.MustCompile(`token=[A-Z0-9]+`), "token=TOKEN"},
	{regexp.MustCompile(`(devel|v\d\S*)( [0-9a-f]{12})? go\S+ \w+/\w+`), "VERSION"},
	{regexp.MustCompile(`\b\d+(\.\d+)? ?(µs|ms|s|m|h)\b`), "T"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(B|KiB|MiB)\b`), "SIZE"},
	{regexp.MustCompile(`\b\d+\.\d\b`), "N.N"},
	{regexp.MustCompile(`(?m)^(pid|goroutines)( +|\t)\d+$`), "$1${2}N"},
	{regexp.MustCompile(`\bpid \d+, for T, \d+ connections`), "pid N, for T, N connections"},
	{regexp.MustCompile(`(?m)^# (\S+), [0-9a-f]{8}, `), "# $1, HASH, "},
	{regexp.MustCompile(`  +`), "  "},
}

// steady replaces what differs from one run to the next.
func (w *world) steady(text string) string {
	text = strings.NewReplacer(
		w.up, "UP", w.gone, "GONE", w.listen, "LISTEN", w.inspector, "INSPECTOR", w.confFile, "loom.yaml", w.socket, "SOCKET",
	).Replace(text)
	for _, u := range unsteady {
		text = u.pattern.ReplaceAllString(text, u.instead)
	}
	return text
}
