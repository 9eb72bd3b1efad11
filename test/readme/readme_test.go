// Package readme holds the README to its word: each command that it shows in a
// block marked as sh is tried, and each flag of loomd is in it. A command that
// no check here knows fails the test, so that none is shown untried.
package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"loom/test/daemon"
)

// program is what "loomd" and "go run ./cmd/loomd" stand for.
var program *daemon.Program

func TestMain(m *testing.M) { os.Exit(daemon.RunTests(m, false, &program)) }

// loomdCommand is how the README may call loomd.
const loomdCommand = `^(?:go run \./cmd/loomd|(?:\./)?(?:bin/)?loomd)`

// checks are tried from the top; the first whose pattern matches the command
// judges it, with what the pattern's group caught.
var checks = []struct {
	pattern *regexp.Regexp
	check   func(t *testing.T, root, caught string)
}{
	{regexp.MustCompile(`^make ([a-z]+)$`), checkTarget},
	{regexp.MustCompile(`^go (?:build|install)((?: \./cmd/\w+| \./cmd/\.\.\.)+)$`), checkBuild},
	{regexp.MustCompile(`^(loomctl .*)$`), checkLoomctl},
	{regexp.MustCompile(`^((?:install|systemd-\w+|systemctl) .*)$`), checkInstalls},
	{regexp.MustCompile(loomdCommand + `((?: -(?:version|schema|check)\b).*)$`), checkOnce},
	{regexp.MustCompile(loomdCommand + `(.*)$`), checkServes},
}

func TestEveryCommand(t *testing.T) {
	root, err := daemon.Root()
	if err != nil {
		t.Fatal(err)
	}
	commands := daemon.Commands(readme(t, root))
	if len(commands) == 0 {
		t.Fatal("README.md shows no command in a block marked as sh")
	}
	for _, command := range commands {
		t.Run(command, func(t *testing.T) {
			for _, c := range checks {
				if caught := c.pattern.FindStringSubmatch(command); caught != nil {
					c.check(t, root, strings.TrimSpace(caught[1]))
					return
				}
			}
			t.Error("no check knows this command: add one to the list in readme_test.go")
		})
	}
}

func readme(t *testing.T, root string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatalf("read the README: %v", err)
	}
	return string(text)
}

// checkTarget looks whether make knows the target; "make test" runs this very
// test, and what the others do is tried by those who need it.
func checkTarget(t *testing.T, root, target string) {
	t.Helper()
	runIn(t, root, "make", "-n", target)
}

// checkBuild builds the packages and throws the outcome away.
func checkBuild(t *testing.T, root, packages string) {
	t.Helper()
	runIn(t, root, "go", append([]string{"build", "-o", t.TempDir() + "/"}, strings.Fields(packages)...)...)
}

// checkInstalls looks whether the files are there that a command of the section
// about systemd installs. The tests of systemd run all of them.
func checkInstalls(t *testing.T, root, command string) {
	t.Helper()
	for word := range strings.FieldsSeq(command) {
		if folder, _, ok := strings.Cut(word, "/"); ok && folder != "" && folder != "bin" {
			if _, err := os.Stat(filepath.Join(root, word)); err != nil {
				t.Errorf("%s: %v", command, err)
			}
		}
	}
}

// checkOnce runs loomd with flags by which it does one thing and ends.
func checkOnce(t *testing.T, root, args string) {
	t.Helper()
	args, _, _ = strings.Cut(args, " >")
	runIn(t, root, program.Path(), strings.Fields(args)...)
}

// checkServes starts loomd on a free port, so that a busy one cannot fail the
// test, waits until it accepts, and stops it. A configuration says its ports
// itself and names backends that are not here, so it is only looked through.
func checkServes(t *testing.T, root, args string) {
	t.Helper()
	if strings.Contains(args, "-config") {
		checkOnce(t, root, "-check "+args)
		return
	}
	address := daemon.FreeAddress(t)
	loomd := program.Start(t, append(strings.Fields(args), "-listen", address)...)
	loomd.WaitListening(t, address)
	loomd.Signal(t, syscall.SIGINT)
	if code := loomd.WaitExit(t, 10*time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func runIn(t *testing.T, folder, name string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = folder
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", command, err, output)
	}
}

// TestEveryFlag wants each flag of loomd explained.
func TestEveryFlag(t *testing.T) {
	root, err := daemon.Root()
	if err != nil {
		t.Fatal(err)
	}
	text := readme(t, root)
	loomd := program.Start(t, "-h")
	loomd.WaitExit(t, 10*time.Second)
	flags := regexp.MustCompile(`(?m)^\s+-([a-z][a-z-]*)`).FindAllStringSubmatch(loomd.Stdout()+loomd.Stderr(), -1)
	if len(flags) < 5 {
		t.Fatalf("found only %d flags in what loomd -h prints:\n%s%s", len(flags), loomd.Stdout(), loomd.Stderr())
	}
	for _, flag := range flags {
		if !strings.Contains(text, "`-"+flag[1]) {
			t.Errorf("README.md does not explain the flag -%s", flag[1])
		}
	}
}
