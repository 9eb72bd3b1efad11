package server

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"loom/internal/capture"
	"loom/internal/hotrestart"
)

// section is state that a reload carries from the older process to the younger
// one. What is not there, or cannot be read, starts anew: that never stops a
// reload.
type section struct {
	name    string
	version uint32 // of what save writes; restore reads no other
	save    func() ([]byte, error)
	// restore takes what an older process saved that long ago, before anything
	// here is used. After an error it is as if nothing had been there.
	restore func(data []byte, age time.Duration) error
}

// sections are all of them. Who adds state that crosses a reload adds a line.
func (s *Server) sections() []section {
	all := []section{
		{"processes", processesVersion, s.watch.carry.saveProcesses, readBefore},
		{"capture", capture.SnapshotVersion, plain(s.watch.store.Snapshot), ageless(s.watch.restoreCalls)},
		{"mode", 1, s.saveMode, ageless(s.restoreMode)},
		{"sockets", 1, s.binder.saveForeign, ageless(s.binder.restoreForeign)},
		{"tickets", 1, plain(s.tickets.Snapshot), ageless(s.tickets.Restore)},
		{"figures", 1, s.saveFigures, s.restoreFigures},
		{"reflection", 1, s.watch.schemas.cache.Snapshot, s.watch.schemas.cache.Restore},
		{tokenSection, tokenVersion, s.watch.saveToken, readBefore},
		{"budgets", 1, s.relay.SnapshotBudgets, s.relay.RestoreBudgets},
	}
	f := s.now()
	for name, b := range f.breakers {
		all = append(all, section{"breaker/" + name, 1, saveBreaker(b), b.Restore})
	}
	for name, k := range f.backends {
		all = append(all, section{"backend/" + name, 1, plain(k.Snapshot), k.Restore})
	}
	return all
}

// readBefore is how a section is restored that New has read by then.
func readBefore([]byte, time.Duration) error { return nil }

// plain is a way to save that cannot fail.
func plain(save func() []byte) func() ([]byte, error) {
	return func() ([]byte, error) { return save(), nil }
}

// ageless is a way to restore what does not age.
func ageless(restore func([]byte) error) func([]byte, time.Duration) error {
	return func(data []byte, _ time.Duration) error { return restore(data) }
}

// Saved is a section as an older process saved it.
type Saved struct {
	Version uint32
	Data    []byte
	Age     time.Duration
}

// Estate is the state that an older process left.
type Estate interface {
	// Section returns a section by its name; false if there is none that is
	// whole.
	Section(name string) (Saved, bool)
}

// restore takes over what an older process left.
func (s *Server) restore(from Estate) {
	for _, x := range s.sections() {
		saved, ok := from.Section(x.name)
		if !ok {
			continue
		}
		err := fmt.Errorf("it has version %d, this loomd reads %d", saved.Version, x.version)
		if saved.Version == x.version {
			err = x.restore(saved.Data, saved.Age)
		}
		if err != nil {
			s.log.Warn("state of the process before is not taken over", zap.String("section", x.name), zap.Error(err))
		}
	}
}

// warnOfLost says what the process before handed over in vain.
func (s *Server) warnOfLost(heir *hotrestart.Heir) {
	for _, w := range heir.Warnings() {
		s.log.Warn("not all of the process before has come", zap.String("reason", w))
	}
	for _, name := range heir.Unclaimed() {
		s.log.Warn("state of the process before is not taken over", zap.String("section", name), zap.String("reason", "nothing here is called so any more"))
	}
}

// heirEstate is the state that came with a handover.
type heirEstate struct{ *hotrestart.Heir }

// Section returns a section, once.
func (e heirEstate) Section(name string) (Saved, bool) {
	s, ok := e.Heir.Section(name)
	return Saved{Version: s.Version, Data: s.Data, Age: s.Age()}, ok
}
