package server

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
	"loom/internal/hotrestart"
)

// wire brings the messages of a server of generation 1 to another server.
type wire struct{ to *watch }

func (w wire) Send(_ context.Context, m hotrestart.Message) error {
	w.to.carry.hear(w.to.store, 1, m.Data)
	return nil
}

// house serves servers that share a folder of state, one after the other.
type house struct {
	t     *testing.T
	state string
	text  string
}

// serve starts a server that takes over what is left, if anything is.
func (h *house) serve(left Estate) *running {
	h.t.Helper()
	core, log := observer.New(zap.DebugLevel)
	s, err := New(parse(h.t, h.text), Options{Log: zap.New(core), StateDir: h.state, Estate: left})
	if err != nil {
		h.t.Fatal(err)
	}
	return run(h.t, s, log)
}

// lines are the ids in the session file, in order.
func (h *house) lines() []string {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.state, "sessions", "night.ndjson"))
	if err != nil {
		h.t.Fatal(err)
	}
	var ids []string
	for line := range strings.Lines(string(text)) {
		_, after, _ := strings.Cut(line, `"id":`)
		ids = append(ids, strings.Split(after, `"`)[1])
	}
	slices.Sort(ids)
	return ids
}

// ids are those of the calls of a list, by state.
func ids(w *watch, state loomv1.CallState) []string {
	var all []string
	for _, row := range w.store.Summaries(0) {
		if row.GetState() == state {
			all = append(all, row.GetId())
		}
	}
	slices.Sort(all)
	return all
}

const (
	open  = loomv1.CallState_CALL_STATE_OPEN
	ended = loomv1.CallState_CALL_STATE_ENDED
)

// wantAsk makes a call that succeeds.
func (r *running) wantAsk() {
	r.t.Helper()
	cc := r.client(0)
	defer cc.Close()
	if _, err := ask(cc, "/test.Echo/Call", "hello"); err != nil {
		r.t.Fatal(err)
	}
}

// begin begins a call that is held back, and returns what waits for its end.
func (r *running) begin() (end func()) {
	r.t.Helper()
	var call sync.WaitGroup
	call.Go(r.wantAsk)
	eventually(r.t, "a call is open", func() bool { return len(ids(r.watch, open)) > 0 })
	return call.Wait
}

// A call that is open when another process takes over ends in that one's list,
// and in its session file, once.
func TestCallsCross(t *testing.T) {
	var hold sync.Mutex
	h := &house{t, t.TempDir(), oneBackend(echo(t, &hold), anyPort) + "capture: {session: night}\n"}
	first := h.serve(nil)
	first.wantAsk()
	hold.Lock()
	end := first.begin()
	second := h.serve(saveAll(t, first.Server))
	if got := ids(second.watch, open); len(got) != 1 || len(ids(second.watch, ended)) != 1 || got[0] != ids(first.watch, open)[0] {
		t.Fatalf("open in the next process are %v, ended %v", got, ids(second.watch, ended))
	}
	first.watch.handed(wire{second.watch})
	hold.Unlock()
	end()
	eventually(t, "the call ends in the next process", func() bool { return len(ids(second.watch, ended)) == 2 })
	second.wantAsk()
	first.watch.told()
	second.watch.carry.gone(second.watch.store, 1)
	all := ids(second.watch, ended)
	if len(all) != 3 || len(ids(second.watch, open)) != 0 {
		t.Errorf("ended are %v, open %v", all, ids(second.watch, open))
	}
	first.stop()
	first.wantServed()
	second.stop()
	second.wantServed()
	if got := h.lines(); !slices.Equal(got, all) {
		t.Errorf("the session file has %v, want %v", got, all)
	}
	if n := second.log.FilterLevelExact(zap.WarnLevel).Len() + first.log.FilterLevelExact(zap.WarnLevel).Len(); n != 0 {
		t.Errorf("%d warnings", n)
	}
}

// The process that took over is gone again: the one before goes on as it was.
func TestCallsStayWhenTheNextProcessIsGone(t *testing.T) {
	h := &house{t, t.TempDir(), oneBackend(echo(t, new(sync.Mutex)), anyPort) + "capture: {session: night}\n"}
	first := h.serve(nil)
	first.wantAsk()
	second := h.serve(saveAll(t, first.Server))
	first.watch.handed(wire{second.watch})
	second.stop()
	second.wantServed()
	first.watch.takenBack()
	first.wantAsk()
	all := ids(first.watch, ended)
	first.stop()
	first.wantServed()
	if got := h.lines(); len(all) != 2 || !slices.Equal(got, all) {
		t.Errorf("the session file has %v, want %v", got, all)
	}
}

// What a process had open that is gone is ended, and said.
func TestCallsOfAProcessThatIsGone(t *testing.T) {
	var hold sync.Mutex
	h := &house{t, t.TempDir(), oneBackend(echo(t, &hold), anyPort)}
	first := h.serve(nil)
	hold.Lock()
	end := first.begin()
	second := h.serve(saveAll(t, first.Server))
	second.watch.carry.gone(second.watch.store, 1)
	if got := ids(second.watch, ended); len(got) != 1 || second.log.FilterMessageSnippet("without telling how its calls ended").Len() != 1 {
		t.Errorf("ended are %v, and the log says %v", got, second.log.All())
	}
	hold.Unlock()
	end()
}

// Ids of two processes never meet, whatever the clock says.
func TestProcessesHaveNumbersOfTheirOwn(t *testing.T) {
	now := time.Now()
	first := newCarry(1, nil, now, zap.NewNop())
	data, err := first.saveProcesses()
	if err != nil {
		t.Fatal(err)
	}
	for name, saved := range map[string]Saved{"as it was": {Version: 1, Data: data}, "damaged": {Version: 1, Data: data[1:]}, "of another version": {Version: 2, Data: data}} {
		second := newCarry(2, legacy{"processes": saved}, now.Add(-time.Hour), zap.NewNop())
		if name == "as it was" && second.process <= first.process {
			t.Errorf("process %d after %d", second.process, first.process)
		}
		if second.process == 0 || second.process == first.process {
			t.Errorf("%s: process %d after %d", name, second.process, first.process)
		}
	}
}

// A capture mode that was set at run time holds in the next process, until the
// configuration says something else than it did.
func TestCaptureModeCrosses(t *testing.T) {
	h := &house{t, t.TempDir(), oneBackend(nobody, anyPort)}
	first := h.serve(nil)
	if got := h.serve(saveAll(t, first.Server)).watch.store.Mode(); got != capture.Full {
		t.Errorf("the mode is %v, and nobody set one", got)
	}
	first.watch.store.SetMode(capture.Metadata)
	left := saveAll(t, first.Server)
	second := h.serve(left)
	if got := second.watch.store.Mode(); got != capture.Metadata {
		t.Errorf("the mode is %v", got)
	}
	if got := h.serve(saveAll(t, second.Server)).watch.store.Mode(); got != capture.Metadata {
		t.Errorf("after another reload the mode is %v", got)
	}
	h.text += "capture: {mode: \"off\"}\n"
	if got := h.serve(left).watch.store.Mode(); got != capture.Off {
		t.Errorf("the mode is %v, and the configuration was changed", got)
	}
}

// Without the list of the process before, that of the session file is there.
func TestDamagedListOfCalls(t *testing.T) {
	h := &house{t, t.TempDir(), oneBackend(echo(t, new(sync.Mutex)), anyPort) + "capture: {session: night}\n"}
	first := h.serve(nil)
	first.wantAsk()
	left := saveAll(t, first.Server)
	first.stop()
	first.wantServed()
	for name, data := range map[string][]byte{"whole": left["capture"].Data, "cut": left["capture"].Data[:20]} {
		left["capture"] = Saved{Version: capture.SnapshotVersion, Data: data}
		r := h.serve(left)
		if got := ids(r.watch, ended); len(got) != 1 {
			t.Errorf("%s: the list has %v", name, got)
		}
		r.stop()
		r.wantServed()
	}
}
