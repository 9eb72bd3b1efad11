//go:build loomfault && linux

package hotrestart

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// faultCase is a point at which something happens to a process.
type faultCase struct {
	point    string
	early    bool // the successor has not been told to accept
	accepted bool // it may have connections, which end with it
}

// faultPoints are the points of a handover with a socket and a section, in order.
var faultPoints = []faultCase{
	{"old sends HELLO", true, false}, {"old sent HELLO", true, false},
	{"new got HELLO", true, false}, {"new sends WELCOME", true, false}, {"new sent WELCOME", true, false}, {"old got WELCOME", true, false},
	{"old sends LISTENERS", true, false}, {"old sent LISTENERS", true, false}, {"new got LISTENERS", true, false},
	{"new sends ACK", true, false}, {"new sent ACK", true, false}, {"old got ACK", true, false},
	{"old sends STATE", true, false}, {"old sent STATE", true, false}, {"new got STATE", true, false},
	{"old sends COMPLETE", true, false}, {"old sent COMPLETE", true, false}, {"new got COMPLETE", true, false},
	{"new sends PROGRESS", true, false}, {"new sent PROGRESS", true, false}, {"old got PROGRESS", true, false},
	{"new sends PREPARED", true, false}, {"new sent PREPARED", true, false}, {"old got PREPARED", true, false},
	{"old sends START", true, false},
	{"old sent START", false, false}, {"new got START", false, false},
	{"new sends SERVING", false, true}, {"new sent SERVING", false, true}, {"old got SERVING", false, true},
}

func init() { //nolint:gochecknoinits // main_test.go cannot name what has a build tag
	// The old process serves as generation 1, and each line on stdin has it hand
	// over. The new one outlives it, until stdin ends.
	further["outlives"] = func() error {
		if err := serve(nil); err != nil {
			return err
		}
		fmt.Println("serves alone")
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	}
	further["old"] = func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		gate := &gate{open: make(chan struct{})}
		close(gate.open)
		go gate.answer(l)
		fmt.Println(l.Addr())
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			handOver(l.(*net.TCPListener), gate)
		}
		return lines.Err()
	}
}

// gate is open while this process accepts.
type gate struct {
	mu   sync.Mutex
	open chan struct{}
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if open {
		close(g.open)
	} else {
		g.open = make(chan struct{})
	}
}

func (g *gate) answer(l net.Listener) {
	for {
		g.mu.Lock()
		open := g.open
		g.mu.Unlock()
		<-open
		// A deadline stands for the way in which a server stops to accept.
		_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Millisecond))
		if conn, err := l.Accept(); err == nil {
			_, _ = conn.Write([]byte("generation 1"))
			conn.Close()
		}
	}
}

func handOver(l *net.TCPListener, g *gate) {
	c, err := Started()
	if err != nil {
		panic(err)
	}
	c.Env = append([]string{role + "=outlives", "TAKE=tcp", "SECTIONS=a"}, c.Env...)
	s, err := Hand(context.Background(), c, Offer{
		Generation: 2, Sockets: []Socket{{Key: "tcp", Conn: l}},
		Sections: []Section{{Name: "a", Save: func() ([]byte, error) { return make([]byte, 100_000), nil }}},
	}, Options{})
	if err != nil {
		fmt.Println("failed:", err)
		return
	}
	g.set(false)
	fmt.Println("handed over", s.PID())
	go func() {
		<-s.Died()
		g.set(true)
		fmt.Println("taken back")
		s.Release()
	}()
}

// oldProcess is that process, as a test sees it.
type oldProcess struct {
	t       *testing.T
	command *exec.Cmd
	stdin   io.WriteCloser
	lines   *bufio.Scanner
	address string
	fault   string // the file that wants a fault
}

func startOld(t *testing.T) *oldProcess {
	t.Helper()
	p := &oldProcess{t: t, command: exec.Command(os.Args[0]), fault: filepath.Join(t.TempDir(), "fault")}
	p.command.Env = append(os.Environ(), role+"=old", "LOOMFAULT="+p.fault, "GORACE=atexit_sleep_ms=0")
	p.command.Stderr = scratch(t)
	var err error
	if p.stdin, err = p.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(stdout)
	if p.address = p.line(); p.address == "" {
		t.Fatal("the old process says nothing")
	}
	return p
}

// line is what the old process, or its successor, prints next; empty when all
// of them have ended.
func (p *oldProcess) line() string {
	p.t.Helper()
	timer := time.AfterFunc(30*time.Second, func() { panic("nothing came for 30 s: " + p.t.Name()) })
	defer timer.Stop()
	p.lines.Scan()
	return p.lines.Text()
}

func (p *oldProcess) reload() {
	p.t.Helper()
	if _, err := p.stdin.Write([]byte("reload\n")); err != nil {
		p.t.Fatal(err)
	}
}

// goesOff reports whether the fault has happened.
func (p *oldProcess) goesOff() {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(p.fault); os.IsNotExist(err) {
			return
		}
	}
	p.t.Fatal("nobody came to the point")
}

// asking asks all the time, until stopped, and counts who does not answer.
type asking struct {
	running      sync.WaitGroup
	stop         chan struct{}
	asked, wrong atomic.Int64
	last         atomic.Value
}

func startAsking(address string) *asking {
	a := &asking{stop: make(chan struct{})}
	a.running.Go(func() {
		for {
			select {
			case <-a.stop:
				return
			default:
			}
			a.asked.Add(1)
			conn, err := net.Dial("tcp", address)
			var text []byte
			if err == nil {
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				text, err = io.ReadAll(conn)
				conn.Close()
			}
			if err != nil || !strings.HasPrefix(string(text), "generation ") {
				a.wrong.Add(1)
				a.last.Store(fmt.Sprintf("%q, %v", text, err))
			}
			time.Sleep(time.Millisecond)
		}
	})
	return a
}

func (a *asking) end() (wrong int64) {
	close(a.stop)
	a.running.Wait()
	return a.wrong.Load()
}

// TestFaults kills and stops each side at each point of the protocol, while
// somebody asks all the time.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range faultPoints {
		for _, signal := range []string{"KILL", "STOP"} {
			t.Run(c.point+" "+signal, func(t *testing.T) {
				t.Parallel()
				side, _, _ := strings.Cut(c.point, " ")
				p := startOld(t)
				defer p.end()
				if err := os.WriteFile(p.fault, []byte(c.point+" "+signal+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				a := startAsking(p.address)
				p.reload()
				p.goesOff()
				switch {
				case side == "old" && signal == "KILL":
					p.oldIsKilled(c, a)
				case side == "old":
					p.oldIsStopped(c, a)
				default:
					p.newIsLost(c, a, signal)
				}
			})
		}
	}
}

// end ends the old process, and with stdin the successor.
func (p *oldProcess) end() {
	_ = p.stdin.Close()
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// oldIsKilled: the successor serves if it was told to, and else ends too.
func (p *oldProcess) oldIsKilled(c faultCase, a *asking) {
	if c.early {
		for line := p.line(); line != ""; line = p.line() {
			p.t.Errorf("somebody says %q", line)
		}
		a.end()
		if conn, err := net.Dial("tcp", p.address); err == nil {
			conn.Close()
			p.t.Error("somebody still holds the socket")
		}
		return
	}
	if line := p.line(); line != "serves alone" {
		p.t.Errorf("the successor says %q", line)
	}
	if wrong := a.end(); wrong > 1 { // the old one may have been killed with one
		p.t.Errorf("%d of %d connections were not served: %v", wrong, a.asked.Load(), a.last.Load())
	}
}

// oldIsStopped: it goes on after a while, finds its time over, and either takes
// all back or finds that its successor serves.
func (p *oldProcess) oldIsStopped(c faultCase, a *asking) {
	time.Sleep(defaultLimits().start + time.Second)
	if err := p.command.Process.Signal(syscall.SIGCONT); err != nil {
		p.t.Fatal(err)
	}
	line := p.line()
	if failed := strings.HasPrefix(line, "failed: "); !failed && !strings.HasPrefix(line, "handed over") || failed && !c.early {
		p.t.Errorf("it says %q", line)
	}
	if strings.HasPrefix(line, "failed: ") {
		p.again()
	}
	if wrong := a.end(); wrong > 0 {
		p.t.Errorf("%d of %d connections were not served: %v", wrong, a.asked.Load(), a.last.Load())
	}
}

// newIsLost: the old process goes on, says why, and the next handover succeeds.
func (p *oldProcess) newIsLost(c faultCase, a *asking, signal string) {
	line := p.line()
	switch {
	case c.point == "new sent SERVING" && signal == "STOP":
		// It serves, and whoever watches it ends it or has it go on.
		var pid int
		if _, err := fmt.Sscanf(line, "handed over %d", &pid); err != nil {
			p.t.Fatalf("it says %q", line)
		}
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			p.t.Fatal(err)
		}
		if wrong := a.end(); wrong > 0 {
			p.t.Errorf("%d of %d connections were not served: %v", wrong, a.asked.Load(), a.last.Load())
		}
		return
	case c.point == "new sent SERVING" && strings.HasPrefix(line, "handed over"):
		if line := p.line(); line != "taken back" {
			p.t.Errorf("it says %q", line)
		}
	case !strings.HasPrefix(line, "failed: "):
		p.t.Errorf("it says %q", line)
	}
	p.again()
	if wrong := a.end(); wrong > 0 && !c.accepted {
		p.t.Errorf("%d of %d connections were not served: %v", wrong, a.asked.Load(), a.last.Load())
	}
}

func (p *oldProcess) again() {
	p.t.Helper()
	p.reload()
	if line := p.line(); !strings.HasPrefix(line, "handed over") {
		p.t.Errorf("the next handover: %q", line)
	}
}
