package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for loomd. It is far above what loomd needs, so
// that a loaded machine does not fail a test, and still ends one that hangs.
const patience = 30 * time.Second

// Process is a running loomd. Its methods may be called from any goroutine.
type Process struct {
	command *exec.Cmd
	stdout  transcript
	stderr  transcript
	exited  chan struct{} // closed by the waiting goroutine
	code    int           // set before exited is closed
}

// transcript collects what a process prints.
type transcript struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (w *transcript) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.Write(data)
}

func (w *transcript) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}

// Start runs loomd with the arguments. When the test ends loomd is killed, if
// it still runs, and its output is shown if the test failed.
func (p *Program) Start(t *testing.T, args ...string) *Process {
	t.Helper()
	args = apart(args)
	process := &Process{command: exec.Command(p.path, args...), exited: make(chan struct{})}
	// The race detector sleeps for a second when a program ends, which a test
	// of how quickly loomd stops must not see.
	process.command.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	if _, set := os.LookupEnv("LOOM_SOCKET"); !set {
		// Tests run side by side: one that wants an admin socket says where.
		process.command.Env = append(process.command.Env, "LOOM_SOCKET=off")
	}
	process.command.Stdout = &process.stdout
	process.command.Stderr = &process.stderr
	// Pdeathsig would be simpler than the cleanup below, but it acts when the
	// starting thread ends, which in Go may be long before the process.
	if err := process.command.Start(); err != nil {
		t.Fatalf("start loomd: %v", err)
	}
	go func() {
		defer close(process.exited)
		var exit *exec.ExitError
		switch err := process.command.Wait(); {
		case err == nil:
		case errors.As(err, &exit):
			process.code = exit.ExitCode()
		default:
			process.code = -1
		}
	}()
	t.Cleanup(func() {
		process.kill()
		<-process.exited
		if t.Failed() {
			t.Logf("loomd %s\nstdout: %s\nstderr: %s", strings.Join(args, " "), tail(process.Stdout()), tail(process.Stderr()))
		}
		if strings.Contains(process.Stderr(), "DATA RACE") {
			t.Errorf("loomd reported a data race:\n%s", process.Stderr())
		}
	})
	return process
}

// apart keeps a loomd without a file off the addresses that every such loomd
// has by default: tests run side by side.
func apart(args []string) []string {
	if slices.Contains(args, "-demo") || slices.Contains(args, "-backend") {
		for _, name := range []string{"-inspector", "-metrics"} {
			if !slices.Contains(args, name) {
				args = append(slices.Clone(args), name, "off")
			}
		}
	}
	return args
}

func tail(text string) string {
	const most = 8 << 10
	if len(text) > most {
		return "...\n" + text[len(text)-most:]
	}
	return text
}

// kill is for the end of a test, where the process may be gone already.
func (p *Process) kill() {
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		panic(fmt.Sprintf("kill loomd: %v", err))
	}
}

// PID is the process id.
func (p *Process) PID() int { return p.command.Process.Pid }

// Stdout returns what loomd printed so far on its standard output.
func (p *Process) Stdout() string { return p.stdout.String() }

// Stderr returns what loomd printed so far on its standard error.
func (p *Process) Stderr() string { return p.stderr.String() }

// Signal sends a signal.
func (p *Process) Signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(signal); err != nil {
		t.Fatalf("send %v to loomd: %v", signal, err)
	}
}

// WaitExit waits until loomd ends, at most within, and returns its exit code:
// -1 when a signal ended it.
func (p *Process) WaitExit(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.code
	case <-time.After(within):
		t.Fatalf("loomd still runs after %v", within)
		return 0
	}
}

// WaitListening returns once loomd accepts on the address, which is host:port
// or unix:PATH.
func (p *Process) WaitListening(t *testing.T, address string) {
	t.Helper()
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	p.Await(t, "loomd accepts on "+address, func() bool {
		conn, err := net.DialTimeout(network, address, time.Second)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
}

// Await polls until the condition holds. It fails the test when loomd ends
// first or patience is over.
func (p *Process) Await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		select {
		case <-p.exited:
			t.Fatalf("waiting until %s: loomd ended with code %d\nstderr: %s", what, p.code, tail(p.Stderr()))
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting until %s: not so after %v\nstderr: %s", what, patience, tail(p.Stderr()))
		}
	}
}

// Footprint is what a process holds at one moment.
type Footprint struct {
	Goroutines  int   `json:"goroutines"`
	HeapInuse   int64 `json:"heap_inuse"` // bytes, after a collection
	Descriptors int   `json:"fds"`
	Threads     int   `json:"-"`
	Resident    int64 `json:"-"` // bytes
}

// Footprint asks loomd, by SIGUSR1, for the line in which it counts itself,
// and the kernel for the rest.
func (p *Process) Footprint(t *testing.T) Footprint {
	t.Helper()
	before := len(p.Stderr())
	p.Signal(t, syscall.SIGUSR1)
	var held Footprint
	p.Await(t, "loomd prints the line that SIGUSR1 asks for", func() bool {
		for line := range strings.Lines(p.Stderr()[before:]) {
			if strings.HasSuffix(line, "\n") && strings.Contains(line, `"goroutines"`) {
				return json.Unmarshal([]byte(line), &held) == nil
			}
		}
		return false
	})
	// Descriptors are counted by the kernel, so that loomd cannot be wrong
	// about itself.
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
	if err != nil {
		t.Fatalf("count the descriptors of loomd: %v", err)
	}
	held.Descriptors = len(entries)
	held.Threads = int(p.statusField(t, "Threads"))
	held.Resident = p.Resident(t)
	return held
}

// Resident is how many bytes of loomd are in memory.
func (p *Process) Resident(t *testing.T) int64 {
	t.Helper()
	return p.statusField(t, "VmRSS") << 10
}

// PeakResident is the most that Resident ever was, or has been since the
// kernel was told to forget.
func (p *Process) PeakResident(t *testing.T) int64 {
	t.Helper()
	return p.statusField(t, "VmHWM") << 10
}

// statusField reads a number from /proc/PID/status.
func (p *Process) statusField(t *testing.T, name string) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Fatalf("read the status of loomd: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			number, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatalf("read %s of loomd: %v", name, err)
			}
			return number
		}
	}
	t.Fatalf("the status of loomd has no %s", name)
	return 0
}
