//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"loom/test/daemon"
	"loom/test/traffic"
)

// begin runs a loomd under load.
func begin(t *testing.T, o settings) (*loom, *clients) {
	t.Helper()
	found := &traffic.Faults{}
	o.backend = startBackend(t, found)
	l := start(t, o)
	return l, call(t, l.plain, found)
}

// held is what a process has at a moment.
type held struct {
	Goroutines  int `json:"goroutines"`
	descriptors int
}

// holds asks a process what it has.
func (l *loom) holds(pid int) held {
	l.t.Helper()
	before := len(l.said())
	l.signal(pid, syscall.SIGUSR1)
	var h held
	l.await("loomd prints the line that SIGUSR1 asks for", func() bool {
		for line := range strings.Lines(l.said()[before:]) {
			if strings.HasSuffix(line, "\n") && strings.Contains(line, `"goroutines"`) {
				return json.Unmarshal([]byte(line), &h) == nil
			}
		}
		return false
	})
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		l.t.Fatal(err)
	}
	h.descriptors = len(entries)
	return h
}

// TestTwentyFailuresThenSuccess leaves nothing behind in the process that goes on.
func TestTwentyFailuresThenSuccess(t *testing.T) {
	found := &traffic.Faults{}
	l := start(t, settings{binary: watched, backend: startBackend(t, found)})
	before := l.holds(l.group)
	c := call(t, l.plain, found)
	for i := range 20 {
		switch i % 4 {
		case 0:
			l.install("echo 'no such library' >&2; exit 127")
			l.fails("no such library")
			l.install("")
		case 1:
			// The check is not what fails.
			l.install(`case "$*" in *-check*) ;; *) echo 'killed by a bug' >&2; kill -SEGV $$;; esac`)
			l.fails("greet: the successor ended: killed by a bug")
			l.install("")
		case 2:
			text := l.configuration()
			l.configure(strings.Replace(text, "routes:", "rotues:", 1))
			l.fails("loom.yaml:")
			l.configure(text)
		case 3:
			point := points[(7*i)%len(points)]
			if strings.HasPrefix(point, "old ") || strings.HasSuffix(point, "SERVING") {
				point = "new sent PREPARED"
			}
			l.goesWrong(point, "KILL")
			l.fails("the successor ended")
		}
	}
	c.end()
	l.await("the process that goes on holds what it held before", func() bool {
		after := l.holds(l.group)
		return after.descriptors <= before.descriptors+2 && after.Goroutines <= before.Goroutines+2
	})
	c = call(t, l.plain, found)
	if generation, _ := l.reload(); generation != 2 {
		t.Errorf("generation %d serves", generation)
	}
	c.end()
}

// TestTooFewDescriptors lowers the limit of open files, for the fresh process
// and then for the running one.
func TestTooFewDescriptors(t *testing.T) {
	listeners := manyListeners(daemon.SocketFolder(t), 100)
	l, c := begin(t, settings{listeners: listeners})
	l.install("ulimit -n 60")
	l.fails("not all descriptors could be received: the limit of open files (LimitNOFILE, ulimit -n) is too low")
	l.install("")
	setFileLimit(t, l.group, l.holds(l.group).descriptors)
	l.fails("too many open files")
	setFileLimit(t, l.group, 4096)
	l.reload()
	c.end()
}

func setFileLimit(t *testing.T, pid, most int) {
	t.Helper()
	var limit unix.Rlimit
	err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit)
	limit.Cur = uint64(most)
	if err == nil {
		err = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil)
	}
	if err != nil {
		t.Fatalf("set the limit of process %d: %v", pid, err)
	}
}

// TestTooLittleMemory starts a process that cannot have what it needs: at once,
// and when it makes room for its calls.
func TestTooLittleMemory(t *testing.T) {
	l, c := begin(t, settings{})
	l.install("ulimit -v 300000") // KiB of addresses
	l.fails("memory")
	l.install("ulimit -v 4000000")
	text := l.configuration()
	l.configure(text + "capture: {ring: {bytes: 8GiB}}\n")
	l.fails("prepare: reserve 8589934592 bytes for the capture ring: cannot allocate memory")
	l.configure(text)
	l.install("")
	l.reload()
	c.end()
}

// manyListeners are so many Unix sockets, as YAML.
func manyListeners(folder string, count int) string {
	var text strings.Builder
	for i := range count {
		fmt.Fprintf(&text, "  - {name: l%d, address: %q}\n", i, "unix:"+filepath.Join(folder, strconv.Itoa(i)))
	}
	return text.String()
}

// TestManyListeners has more of them cross than fit into a message of the
// kernel, and each be the same as before.
func TestManyListeners(t *testing.T) {
	const count = 300
	folder := daemon.SocketFolder(t)
	l, c := begin(t, settings{listeners: manyListeners(folder, count)})
	text, code := l.ctl("reload")
	if code != 0 || !strings.Contains(text, "takes over from loomd") || !strings.Contains(text, "302 sockets taken over") {
		t.Errorf("loomctl reload exits with %d and says %s", code, text)
	}
	for i := range count {
		conn, err := net.Dial("unix", filepath.Join(folder, strconv.Itoa(i)))
		if err != nil {
			t.Fatalf("listener %d: %v", i, err)
		}
		conn.Close()
	}
	c.end()
}
