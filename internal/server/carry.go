package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"

	"loom/internal/capture"
	"loom/internal/hotrestart"
)

const (
	// forwardEvery is how often a process that drains tells what became of its
	// calls: who watches them sees them end nearly as soon as those of the
	// process that serves.
	forwardEvery = 100 * time.Millisecond
	// progressEvery is after how many times it also tells how far open calls
	// are.
	progressEvery = 10
	// toldTime is how long the last of it may take.
	toldTime = 5 * time.Second
	// callsReport names these messages.
	callsReport = "calls"
)

// carry has what people see of calls cross from one process to the next, and
// the calls that an older process still has end in the list of this one. Each
// process has a number, which is the first part of the ids of its calls.
type carry struct {
	// Immutable.
	log     *zap.Logger
	own     int    // generation of this process
	process uint64 // its number

	mu sync.Mutex
	// Guarded by mu.
	older map[int]uint64 // numbers of older processes that may still have calls, by generation
}

// newCarry numbers this process: above all before it, so that ids never meet
// even if the clock was set back. from may be nil.
func newCarry(own int, from Estate, now time.Time, log *zap.Logger) *carry {
	c := &carry{log: log, own: own, process: newGeneration(now), older: make(map[int]uint64)}
	if from == nil {
		return c
	}
	if saved, ok := from.Section("processes"); ok && saved.Version == processesVersion {
		if err := json.Unmarshal(saved.Data, &c.older); err != nil {
			log.Warn("the numbers of the processes before are not known: calls that they lose are seen late", zap.Error(err))
		}
	}
	for _, number := range c.older {
		c.process = max(c.process, number+1)
	}
	return c
}

// processesVersion is that of what saveProcesses writes.
const processesVersion = 1

// saveProcesses writes down the numbers of all processes that run, this one
// included. The next one reads them before it has a number itself.
func (c *carry) saveProcesses() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := maps.Clone(c.older)
	all[c.own] = c.process
	return json.Marshal(all)
}

// hear takes in calls of an older process.
func (c *carry) hear(store *capture.Store, generation int, data []byte) {
	process, err := store.Merge(data)
	if err != nil {
		c.log.Warn("calls of an older process are not in the list", zap.Int("generation", generation), zap.Error(err))
	}
	if process != 0 {
		c.mu.Lock()
		c.older[generation] = process
		c.mu.Unlock()
	}
}

// gone ends the calls whose end an older process cannot tell any more.
func (c *carry) gone(store *capture.Store, generation int) {
	c.mu.Lock()
	lost := []uint64{c.older[generation]}
	delete(c.older, generation)
	if len(c.older) == 0 {
		lost = store.Away() // nobody is left to tell of any
	}
	c.mu.Unlock()
	n := 0
	for _, process := range lost {
		n += store.EndLost(process)
	}
	if n > 0 {
		c.log.Warn("an older process has ended without telling how its calls ended", zap.Int("generation", generation), zap.Int("calls", n))
	}
}

// modeRecord is a capture mode that was set at run time.
type modeRecord struct {
	Set        bool   `json:"set"`
	Mode       string `json:"mode"`
	Configured string `json:"configured"`
}

// saveMode writes down the capture mode if it was set at run time.
func (s *Server) saveMode() ([]byte, error) {
	mode, set := s.watch.store.Override()
	return json.Marshal(&modeRecord{Set: set, Mode: mode.String(), Configured: s.now().cfg.Capture.Mode})
}

// restoreMode sets it again, unless the mode of the configuration is another
// one than then: who changed that has decided anew.
func (s *Server) restoreMode(data []byte) error {
	var r modeRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("read the capture mode: %w", err)
	}
	mode, err := captureMode(r.Mode)
	if err != nil {
		return err
	}
	if r.Set && r.Configured == s.now().cfg.Capture.Mode {
		s.watch.store.SetMode(mode)
	}
	return nil
}

// sender is a hotrestart.Link.
type sender interface {
	Send(ctx context.Context, m hotrestart.Message) error
}

// forwarding tells the process that serves what becomes of the calls of this
// one, which it has replaced.
type forwarding struct {
	last    chan struct{} // closed: no call is open any more
	stop    context.CancelFunc
	running sync.WaitGroup
}

// handed leaves the session file to the process that serves now, and begins to
// tell it of the calls here.
func (w *watch) handed(to sender) {
	ctx, stop := context.WithCancel(context.Background())
	f := &forwarding{last: make(chan struct{}), stop: stop}
	w.forwarding = f
	if w.session != nil {
		f.running.Go(w.session.Close)
	}
	f.running.Go(func() {
		if err := f.run(ctx, w.store, to); err != nil && ctx.Err() == nil {
			w.log.Warn("calls that this process still has are not in the list of the one that serves", zap.Error(err))
		}
	})
}

// takenBack undoes handed: that process is gone.
func (w *watch) takenBack() {
	w.forwarding.end()
	w.forwarding = nil
	if w.session != nil {
		w.session = w.store.ReopenSession(*w.sessions)
	}
}

// told tells the rest, when the last call has ended.
func (w *watch) told() {
	close(w.forwarding.last)
	t := time.AfterFunc(toldTime, w.forwarding.stop)
	w.forwarding.running.Wait()
	t.Stop()
	w.forwarding.end()
}

// end waits until nothing more is told.
func (f *forwarding) end() {
	f.stop()
	f.running.Wait()
}

// run tells of changes until the last is told, or ctx ends.
func (f *forwarding) run(ctx context.Context, store *capture.Store, to sender) error {
	tick := time.NewTicker(forwardEvery)
	defer tick.Stop()
	for n, last := 0, false; !last; n++ {
		select {
		case <-tick.C:
		case <-f.last:
			last = true
		case <-ctx.Done():
			return ctx.Err()
		}
		for more := true; more; {
			var data []byte
			if data, more = store.Changes(n%progressEvery == 0); data == nil {
				break
			}
			if err := to.Send(ctx, hotrestart.Message{Name: callsReport, Version: capture.SnapshotVersion, Data: data}); err != nil {
				return fmt.Errorf("tell of calls: %w", err)
			}
		}
	}
	return nil
}

// restoreCalls takes over the list of calls.
func (w *watch) restoreCalls(data []byte) error {
	err := w.store.Restore(data)
	w.carried = !errors.Is(err, capture.ErrDamaged)
	return err
}

// loadSession reads the calls of an earlier session, unless the list of the
// process before has been taken over, which has them.
func (w *watch) loadSession() {
	if w.sessions == nil || w.carried {
		return
	}
	if n := w.store.LoadSession(*w.sessions); n > 0 {
		w.log.Info("calls of an earlier session are in the list", zap.String("session", w.sessions.Name), zap.Int("calls", n))
	}
}
