package readme

import (
	"errors"
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

// endless are commands that go on until somebody ends them.
var endless = regexp.MustCompile(`^loomctl (tail|top)\b|\s(-w|--watch)\b`)

// checkLoomctl tries a command of loomctl beside a demo. A difference that
// config diff finds is no failure.
func checkLoomctl(t *testing.T, root, command string) {
	t.Helper()
	folder, err := os.MkdirTemp("", "loom") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	built, err := daemon.BuildTool(folder, ".", "loom/cmd/loomctl")
	if err == nil {
		err = os.Rename(built, filepath.Join(folder, "loomctl"))
	}
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(folder, "admin.sock")
	demo := program.Start(t, "-demo", "-quiet", "-listen", daemon.FreeAddress(t), "-inspector", daemon.FreeAddress(t), "-admin", socket)
	demo.WaitListening(t, "unix:"+socket)

	shell := exec.Command("sh", "-c", "exec "+strings.ReplaceAll(command, "configs/", root+"/configs/"))
	shell.Dir = folder // profile writes its file here
	shell.Env = append(os.Environ(), "LOOM_SOCKET="+socket, "PATH="+folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	if endless.MatchString(command) {
		enough := time.AfterFunc(3*time.Second, func() { _ = shell.Process.Signal(syscall.SIGINT) })
		defer enough.Stop()
	}
	output, err := shell.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 && strings.HasPrefix(command, "loomctl config diff ") {
		return
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", command, err, output)
	}
}
