package proc

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

func start(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start("test", "/bin/sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestProcessDeliversItsOutput(t *testing.T) {
	p := start(t, "echo one; echo two >&2; exec sleep 60")
	for _, want := range []string{"one", "two"} {
		if got := <-p.Lines(); got != want {
			t.Errorf("got line %q, want %q", got, want)
		}
	}
	if err := p.Ended(); err != nil {
		t.Errorf("a running process is told to have ended: %v", err)
	}
}

func TestProcessThatEndsTellsItsLastWords(t *testing.T) {
	p := start(t, "echo no such option >&2; exit 3")
	for range p.Lines() {
	}
	<-p.done
	err := p.Ended()
	if err == nil || !strings.Contains(err.Error(), "no such option") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v, want the exit status and the output", err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("stop after the end: %v", err)
	}
}

func TestStopEndsTheProcess(t *testing.T) {
	p := start(t, "exec sleep 60")
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.PID(), 0); err != syscall.ESRCH {
		t.Errorf("signal to the stopped process: %v, want %v", err, syscall.ESRCH)
	}
}

func TestCostsIncludeChildren(t *testing.T) {
	p := start(t, "(while :; do :; done) & echo $!; wait")
	<-p.Lines()
	deadline := time.Now().Add(20 * time.Second)
	for {
		d, err := p.CPU()
		if err != nil {
			t.Fatal(err)
		}
		if d > 50*time.Millisecond {
			break // only the child is busy
		}
		if time.Now().After(deadline) {
			t.Fatalf("cpu time is %v; the child's is not in it", d)
		}
		time.Sleep(10 * time.Millisecond)
	}
	pids, err := family(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	if len(pids) != 2 {
		t.Fatalf("family is %v, want parent and child", pids)
	}
	all, err := p.RSS()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pids[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.done // the shell waits for its child only
	if all <= 0 {
		t.Errorf("resident memory is %d bytes", all)
	}
}
