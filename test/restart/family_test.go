//go:build linux

package restart

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"loom/test/daemon"
)

// family is a loomd and the processes that take its place.
type family struct {
	*daemon.Process // the first; its output is that of all, and it has ended when all have

	t              *testing.T
	folder, config string
	socket, listen string
	first          int // of a container: its PID out here
}

// generation is one process of a family, as loomctl status shows it.
type generation struct {
	Number  int  `json:"number"`
	PID     int  `json:"pid"`
	Calls   int  `json:"calls"`
	Serving bool `json:"serving"`
}

// startFamily starts a loomd before a backend, with more in its configuration.
func startFamily(t *testing.T, backend, more string) *family {
	t.Helper()
	return startFamilyOf(t, program, backend, more)
}

// startFamilyOf does so with another build of loomd.
func startFamilyOf(t *testing.T, build *daemon.Program, backend, more string) *family {
	t.Helper()
	folder := daemon.SocketFolder(t)
	f := &family{t: t, folder: folder, config: filepath.Join(folder, "loom.yaml"), socket: filepath.Join(folder, "admin.sock"), listen: daemon.FreeAddress(t)}
	t.Setenv("STATE_DIRECTORY", folder)
	f.configure(backend, more)
	f.Process = build.Start(t, "-config", f.config, "-admin", f.socket, "-quiet")
	t.Cleanup(f.end)
	f.WaitListening(t, f.listen)
	f.WaitListening(t, "unix:"+f.socket)
	return f
}

// configure writes the configuration.
func (f *family) configure(backend, more string) {
	f.t.Helper()
	text := fmt.Sprintf("listeners: [{name: plain, address: %q}]\nbackends: {main: {targets: [%q]}}\nroutes: [{name: all, backend: main}]\n", f.listen, backend)
	if err := os.WriteFile(f.config, []byte(text+more), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// end kills what is left of the family, and waits for it: the processes after
// the first are children of the test, too.
func (f *family) end() {
	for _, pid := range f.alive() {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
	if !f.ended() {
		f.t.Errorf("processes %v of loomd do not end", f.alive())
	}
}

// ended waits for all processes of the family.
func (f *family) ended() bool {
	for deadline := time.Now().Add(30 * time.Second); len(f.alive()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// alive returns the processes that run with the configuration, and reaps those
// that do no more.
func (f *family) alive() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		f.t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err != nil || !bytes.Contains(line, []byte("\x00"+f.config+"\x00")) || bytes.HasPrefix(line, []byte(loomctl)) {
			continue
		}
		if pid != f.PID() {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // it may be no child, and runs perhaps
		}
		pids = append(pids, pid)
	}
	return pids
}

// ctl runs loomctl and returns what it prints. It has to succeed.
func (f *family) ctl(args ...string) string {
	f.t.Helper()
	command := exec.CommandContext(f.t.Context(), loomctl, append(args, "--socket", f.socket)...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		f.t.Fatalf("loomctl %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// ask runs loomctl and reads what it prints as JSON.
func (f *family) ask(into any, args ...string) {
	f.t.Helper()
	if err := json.Unmarshal([]byte(f.ctl(append(args, "-o", "json")...)), into); err != nil {
		f.t.Fatalf("loomctl %s: %v", strings.Join(args, " "), err)
	}
}

// reload has the next process take over.
func (f *family) reload() {
	f.t.Helper()
	before := f.serving()
	f.ctl("reload")
	if after := f.serving(); after.Number != before.Number+1 || after.PID == before.PID {
		f.t.Fatalf("after %+v the process that serves is %+v", before, after)
	}
}

// generations are the processes, the one that serves first.
func (f *family) generations() []generation {
	f.t.Helper()
	var status struct {
		Generations []generation `json:"generations"`
	}
	f.ask(&status, "status")
	return status.Generations
}

func (f *family) serving() generation {
	f.t.Helper()
	all := f.generations()
	i := slices.IndexFunc(all, func(g generation) bool { return g.Serving })
	if i < 0 {
		f.t.Fatalf("nobody serves: %+v", all)
	}
	return all[i]
}

// serves reports whether the process of that generation says that it serves. At
// the moment of a handover one may answer that does not any more.
func (f *family) serves(number int) bool {
	f.t.Helper()
	return slices.ContainsFunc(f.generations(), func(g generation) bool { return g.Serving && g.Number == number })
}

// stop ends the family in order.
func (f *family) stop() {
	f.t.Helper()
	if err := syscall.Kill(f.serving().PID, syscall.SIGTERM); err != nil {
		f.t.Fatal(err)
	}
	if !f.ended() {
		f.t.Fatalf("processes %v of loomd do not end", f.alive())
	}
}

// await polls until the condition holds.
func (f *family) await(what string, condition func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("waiting until %s: not so after 30 s", what)
		}
	}
}
