package breaker

import "time"

// Open has calls refused until another command. by says who wants it.
func (b *Breaker) Open(by string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != ForcedOpen {
		b.enterLocked(ForcedOpen, "opened by "+by)
	}
}

// Close has calls pass until another command, whatever comes of them. They are
// counted all the same.
func (b *Breaker) Close(by string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != Disabled {
		b.freshLocked()
		b.enterLocked(Disabled, "closed by "+by)
	}
}

// Auto takes back Open or Close: the breaker judges for itself again, and
// begins closed, with nothing counted. One that does so already stays as it is.
func (b *Breaker) Auto(by string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == ForcedOpen || b.state == Disabled {
		b.clearLocked()
		b.freshLocked()
		b.enterLocked(Closed, "put on auto by "+by)
	}
}

// Reset closes the breaker now and empties its counters, but for the totals,
// which are for life. It judges as before: one that an operator had closed
// stays so, one that an operator had opened is on its own again.
func (b *Breaker) Reset(by string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clearLocked()
	b.lastError, b.lastErrorAt = "", time.Time{}
	if !b.state.passes() {
		b.freshLocked()
		b.enterLocked(Closed, "reset by "+by)
	}
}

// freshLocked begins with a closed gobreaker.
func (b *Breaker) freshLocked() {
	b.episode = newEpisode(b.settings.Probes, b.settings.OpenFor)
}

// Probe ends being open early, because something says that the backend is back:
// the breaker is half-open within the next moment, and closes only if its
// probes succeed. In every other state nothing happens. why is for people.
func (b *Breaker) Probe(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == Open {
		b.holdLocked(0, why)
		b.armLocked()
	}
}

// Apply puts other settings into force and keeps the state. An opening that
// would be over by now, or sooner, ends by the new ones; a half-open spell goes
// on to its end by those that it began with. The window begins anew if its
// length changes; failures in a row are kept. An error changes nothing.
func (b *Breaker) Apply(s Settings) error {
	if err := s.Check(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.settings
	b.settings = s
	now := time.Now()
	if s.Window != old.Window {
		b.freshWindowLocked(now)
	}
	if b.state != Open || s == old {
		return nil
	}
	left := b.openUntil.Sub(now)
	if s.OpenFor != old.OpenFor || s.MaxOpenFor != old.MaxOpenFor {
		left = min(left, b.openForLocked()-now.Sub(b.since))
	}
	b.holdLocked(max(0, left), b.probeWhy)
	b.armLocked()
	return nil
}

// Pause keeps the breaker from trying the backend, because another process goes
// on from its record: neither being open ends, nor does a half-open one allow
// further probes. A closed one lets calls pass as before.
func (b *Breaker) Pause() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused = true
	b.armLocked()
}

// Resume takes back Pause: the other process did not make it.
func (b *Breaker) Resume() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused = false
	b.armLocked()
}

// Stop ends the timer and waits until the subscriber has heard of every event.
// Calls pass from then on if they passed before, and their verdicts are void.
func (b *Breaker) Stop() {
	b.mu.Lock()
	b.stopped = true
	b.epoch++
	b.spellLocked()
	b.armLocked()
	b.mu.Unlock()
	b.working.Wait()
}
