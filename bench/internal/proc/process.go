// Package proc starts the processes of a bench run, ends them, and reads what
// they cost. Every process that Start returned must be given to Stop; should
// the bench die first, the kernel ends its children (PDEATHSIG).
//
// Linux only: costs are read from /proc and from the CPU clocks of processes.
package proc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// stopGrace is how long a process may take to end by itself.
	stopGrace = 3 * time.Second
	// tailLines is how much of a process's output is kept for error texts.
	tailLines = 20
	// lineBytes is the longest line of output that is read whole.
	lineBytes = 64 << 10
	// lineQueue is how many lines wait for a reader of Lines before lines are dropped.
	lineQueue = 64
)

// Process is a running program. Its methods may be called concurrently.
type Process struct {
	// Immutable.
	name  string
	cmd   *exec.Cmd
	lines chan string   // sent and closed by the goroutine of collect
	done  chan struct{} // closed when the process has ended and its output is read

	mu   sync.Mutex // guards following
	tail []string
}

// Start runs a program with both outputs collected. It does not wait for the
// program to be ready.
func Start(name, path string, args ...string) (*Process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = w, w
	// SIGTERM rather than SIGKILL: nginx must end its workers.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{
		name:  name,
		cmd:   cmd,
		lines: make(chan string, lineQueue),
		done:  make(chan struct{}),
	}
	go p.collect(r)
	return p, nil
}

// collect owns the reading end of the output pipe and reaps the process.
func (p *Process) collect(r io.ReadCloser) {
	defer close(p.done)
	defer close(p.lines)
	br := bufio.NewReaderSize(r, lineBytes)
	for {
		line, isPrefix, err := br.ReadLine()
		if err != nil {
			break
		}
		if isPrefix {
			continue
		}
		p.remember(string(line))
	}
	r.Close()
	// Only how it ended could be told here, and only Ended's caller wants that.
	_ = p.cmd.Wait()
}

func (p *Process) remember(line string) {
	p.mu.Lock()
	p.tail = append(p.tail, line)
	if len(p.tail) > tailLines {
		p.tail = p.tail[1:]
	}
	p.mu.Unlock()
	select {
	case p.lines <- line:
	default:
	}
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Lines delivers the lines of both outputs. It is closed when the process has
// ended. A line that finds the queue full is dropped.
func (p *Process) Lines() <-chan string { return p.lines }

// Signal sends a signal to the process.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// Ended reports nil while the process runs, and an error with the end of its
// output once it has ended.
func (p *Process) Ended() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("%s ended (%v), its last words:\n%s", p.name, p.cmd.ProcessState, strings.Join(p.tail, "\n"))
}

// Stop asks the process to end, kills it when it does not, and waits for it.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopGrace):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.done
	return nil
}
