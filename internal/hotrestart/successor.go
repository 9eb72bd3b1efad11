package hotrestart

import "slices"

// Successor is a process that serves in place of this one.
type Successor struct {
	*process
	plan     Plan
	warnings []string
	link     *Link
}

// PID is its number, to be shown and to be told to systemd. By the time that
// anybody looks, it may be another process's.
func (s *Successor) PID() int { return s.pid }

// Plan says what it did with the sockets.
func (s *Successor) Plan() Plan { return s.plan }

// Warnings say which sections it did not get, and why.
func (s *Successor) Warnings() []string { return slices.Clone(s.warnings) }

// Link connects it with this process. It is the caller's to close.
func (s *Successor) Link() *Link { return s.link }

// Died is closed when it has ended; not any more after Release.
func (s *Successor) Died() <-chan struct{} { return s.died }

// Kill ends it at once, and waits until it is gone, 5 s at most. The sockets
// are with this process alone again. It has to come before Release.
func (s *Successor) Kill() { s.end() }

// Terminate sends it SIGTERM. It does not wait; see Died.
func (s *Successor) Terminate() { s.terminate() }

// Release says that nobody is interested in Died or Kill any more, and gives
// back what they need. Where this process has to wait for the other one, because
// it is PID 1, that goes on until the other one ends.
func (s *Successor) Release() { s.release() }
