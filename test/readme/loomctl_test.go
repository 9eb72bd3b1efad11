package readme

import (
	"bytes"
	"encoding/json"
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
	tools := filepath.Dir(program.Path())
	if _, err := os.Stat(filepath.Join(tools, "loomctl")); err != nil {
		runIn(t, root, "go", "build", "-o", tools, "./cmd/loomctl")
	}
	socket := filepath.Join(folder, "admin.sock")
	demo := program.Start(t, "-demo", "-quiet", "-listen", daemon.FreeAddress(t), "-inspector", daemon.FreeAddress(t), "-admin", socket)
	demo.WaitListening(t, "unix:"+socket)

	shell := exec.Command("sh", "-c", "exec "+strings.ReplaceAll(command, "configs/", root+"/configs/"))
	shell.Dir = folder // profile writes its file here
	shell.Env = append(os.Environ(), "LOOM_SOCKET="+socket, "PATH="+tools+string(os.PathListSeparator)+os.Getenv("PATH"))
	var output bytes.Buffer
	shell.Stdout, shell.Stderr = &output, &output
	if err := shell.Start(); err != nil {
		t.Fatalf("start %s: %v", command, err)
	}
	t.Cleanup(func() { endSuccessor(t, tools, socket, demo.PID()) })
	if endless.MatchString(command) {
		enough := time.AfterFunc(3*time.Second, func() { _ = shell.Process.Signal(syscall.SIGINT) })
		defer enough.Stop()
	}
	err = shell.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 && strings.HasPrefix(command, "loomctl config diff ") {
		return
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", command, err, &output)
	}
}

// endSuccessor ends the process that a command had take over from the demo.
func endSuccessor(t *testing.T, tools, socket string, demo int) {
	t.Helper()
	out, err := exec.Command(filepath.Join(tools, "loomctl"), "--socket", socket, "-o", "json", "status").Output()
	if err != nil {
		return // nobody serves
	}
	var st struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(out, &st); err != nil {
		t.Fatal(err)
	}
	if st.PID != demo {
		if err := syscall.Kill(st.PID, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
}
