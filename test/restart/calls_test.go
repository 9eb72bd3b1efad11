//go:build linux

package restart

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// row is a call of the list. Numbers of 64 bits are text in JSON.
type row struct {
	ID     string `json:"id"`
	Path   string `json:"path"`
	State  string `json:"state"`
	Up     string `json:"up"`
	Down   string `json:"down"`
	Reason string `json:"reason"`
}

const (
	openState  = "CALL_STATE_OPEN"
	endedState = "CALL_STATE_ENDED"
)

// rows are the calls of the list, by id. None may be there twice.
func (f *family) rows() map[string]row {
	f.t.Helper()
	var list struct {
		Calls []row `json:"calls"`
	}
	f.ask(&list, "calls", "-n", "10000")
	all := make(map[string]row)
	for _, r := range list.Calls {
		if _, twice := all[r.ID]; twice {
			f.t.Errorf("call %s is in the list twice", r.ID)
		}
		all[r.ID] = r
	}
	return all
}

// wantSuperset looks that no call is missing that was there before, and that
// none that had ended is another than it was.
func wantSuperset(t *testing.T, before, after map[string]row) {
	t.Helper()
	for id, was := range before {
		switch is, there := after[id]; {
		case !there:
			t.Errorf("call %s fell out of the list", id)
		case was.State == endedState && is != was:
			t.Errorf("call %s was %+v and is %+v", id, was, is)
		}
	}
}

// filed are the ids in the session file. None may be there twice.
func (f *family) filed() map[string]bool {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.folder, "sessions", "night.ndjson"))
	if err != nil {
		f.t.Fatal(err)
	}
	ids := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		var call row
		if err := json.Unmarshal([]byte(line), &call); err != nil {
			f.t.Fatalf("a line of the session file is no call: %v: %s", err, line)
		}
		if ids[call.ID] {
			f.t.Errorf("call %s is in the session file twice", call.ID)
		}
		ids[call.ID] = true
	}
	return ids
}

// told are the ids that loomctl tail has printed. None may be there twice.
func told(t *testing.T, lines string) map[string]bool {
	t.Helper()
	ids := make(map[string]bool)
	for line := range strings.Lines(lines) {
		var a struct {
			Call row `json:"call"`
		}
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("a line of loomctl tail: %v: %s", err, line)
		}
		if ids[a.Call.ID] {
			t.Errorf("loomctl tail told of call %s twice", a.Call.ID)
		}
		ids[a.Call.ID] = true
	}
	return ids
}

const session = "capture: {session: night}\n"

// The list of calls goes on over reloads under traffic: nothing falls out of
// it, nothing is there twice; a stream that began in the first process ends in
// the list of the fourth. So it is in the session file and in loomctl tail, and
// loomctl top goes on.
func TestCallsAcrossReloads(t *testing.T) {
	f := startFamily(t, startBackend(t), session+"restart: {drain: 60s, probation: 500ms}\n")
	tail, top := f.follow("tail", "-o", "json"), f.follow("top", "--interval", "500ms")
	status := f.follow("status", "--watch", "--interval", "200ms")
	first := connect(t, f.listen)
	f.await("loomctl tail tells of calls", func() bool {
		if err := echo(first, "first"); err != nil {
			t.Fatal(err)
		}
		return tail.printed() != ""
	})
	early := f.rows() // loomctl tail may have begun after some of them
	long := startStream(t, f.listen)
	traffic := startLoad(t, f.listen, 8, 20*time.Millisecond)
	before := f.rows()
	for range 3 {
		long.exchange(500)
		time.Sleep(300 * time.Millisecond) // of traffic
		f.reload()
		after := f.rows()
		wantSuperset(t, before, after)
		before = after
	}
	ended := traffic.end()
	long.exchange(500)
	var begun row
	for _, r := range f.rows() {
		if r.Path == sumMethod {
			begun = r
		}
	}
	if begun.State != openState {
		t.Fatalf("the stream is %+v", begun)
	}
	f.await("the list shows how far the stream is", func() bool { return f.rows()[begun.ID].Down == "2001" })
	long.end()
	f.await("the stream ends in the list of generation 4", func() bool { return f.rows()[begun.ID].State == endedState })
	all := f.rows()
	wantSuperset(t, before, all)
	if r := all[begun.ID]; r.Up != "2001" || r.Down != "2001" {
		t.Errorf("of 2001 messages each way the record of the stream has %s and %s", r.Up, r.Down)
	}
	if want := len(early) + ended + 1; len(all) != want {
		t.Errorf("the list has %d calls, %d were made", len(all), want)
	}
	f.await("the older processes end", func() bool { return len(f.generations()) == 1 })
	f.await("loomctl tail tells of the stream", func() bool { return strings.Contains(tail.printed(), begun.ID) })
	tail.stop()
	top.stop()
	status.stop()
	f.stop()
	wantCalls(t, "the session file", f.filed(), all, nil)
	wantCalls(t, "loomctl tail", told(t, tail.printed()), all, early)
}

// wantCalls looks whether somebody heard of all calls, and of no others. Those
// that are early need not be among them.
func wantCalls(t *testing.T, who string, heard map[string]bool, all, early map[string]row) {
	t.Helper()
	for id := range all {
		if _, may := early[id]; !heard[id] && !may {
			t.Errorf("call %s is not in %s", id, who)
		}
	}
	for id := range heard {
		if _, there := all[id]; !there {
			t.Errorf("%s has call %s, which is not in the list", who, id)
		}
	}
}

// Over many reloads under traffic the session file has each call once,
// whichever process it ended in, and so has the list, of the newest.
func TestStormOfCallsInTheSessionFile(t *testing.T) {
	const kept = 5000
	f := startFamily(t, startBackend(t), fmt.Sprintf(`
capture: {session: night, session_size: 1GiB, ring: {calls: %d}}
restart: {drain: 5s, probation: %v}
`, kept, *stormProbation))
	traffic := startLoad(t, f.listen, 8, 10*time.Millisecond)
	for range *stormReloads {
		f.reload()
	}
	made := traffic.end()
	f.await("the older processes end", func() bool { return len(f.generations()) == 1 })
	all := f.rows()
	if len(all) != min(made, kept) {
		t.Errorf("the list has %d calls of %d", len(all), made)
	}
	f.stop()
	ids := f.filed()
	if len(ids) != made {
		t.Errorf("the session file has %d calls, %d were made", len(ids), made)
	}
	for id, r := range all {
		if !ids[id] || r.State != endedState || r.Reason != "" {
			t.Errorf("call %+v is in the session file: %t", r, ids[id])
		}
	}
	t.Logf("%d calls in %d reloads", made, *stormReloads)
}

// A process that is killed while it drains takes the end of its calls with it,
// which the list says.
func TestCallsOfAKilledProcess(t *testing.T) {
	f := startFamily(t, startBackend(t), session+"restart: {drain: 60s, probation: 500ms}\n")
	f.ctl("capture", "metadata")
	long := startStream(t, f.listen)
	f.reload()
	if mode := f.ctl("status"); !strings.Contains(mode, "metadata") {
		t.Errorf("the capture mode did not cross: %s", mode)
	}
	long.exchange(10)
	f.await("the list shows how far the stream is", func() bool {
		for _, r := range f.rows() {
			if r.Down == "11" && r.State == openState {
				return true
			}
		}
		return false
	})
	f.Signal(t, syscall.SIGKILL)
	var lost row
	f.await("the stream is ended", func() bool {
		for _, r := range f.rows() {
			lost = r
		}
		return lost.State == endedState
	})
	if lost.Reason != "PROCESS_LOST" || lost.Down != "11" {
		t.Errorf("the call is %+v", lost)
	}
	f.stop()
	if ids := f.filed(); len(ids) != 1 || !ids[lost.ID] {
		t.Errorf("the session file has %v, want %s", ids, lost.ID)
	}
}

// The process that took over ends within the probation: the one before has its
// list and its session file as if nothing had been, and so it has the calls of
// the process before it.
func TestCallsAfterARollback(t *testing.T) {
	f := startFamily(t, startBackend(t), session+"restart: {drain: 60s, probation: 4s}\n")
	eldest := startStream(t, f.listen)
	f.reload()
	conn := connect(t, f.listen)
	ask := func() {
		if err := echo(conn, "hello"); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	elder := startStream(t, f.listen)
	served := f.alive()
	reload := f.follow("reload")
	f.await("the next process serves", func() bool { return strings.Contains(reload.printed(), "probation") })
	elder.end() // in the process which has given the session file away
	eldest.end()
	time.Sleep(1500 * time.Millisecond) // the next process is told, and would have written them
	for _, pid := range f.alive() {
		if slices.Contains(served, pid) {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	<-reload.ended
	if reload.err == nil {
		t.Fatal("the reload is said to have succeeded")
	}
	ask()
	f.await("all calls have ended", func() bool {
		all := f.rows()
		for _, r := range all {
			if r.State != endedState {
				return false
			}
		}
		return len(all) == 4
	})
	all := f.rows()
	for _, r := range all {
		if r.Reason != "" {
			t.Errorf("nobody has told how call %+v ended", r)
		}
	}
	f.stop()
	wantCalls(t, "the session file", f.filed(), all, nil)
}
