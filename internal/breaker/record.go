package breaker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// recordVersion is +1 with each change that an older loomd would misread.
const recordVersion = 2

// Bounds on a record: it is foreign input. The largest one of our own has a
// name and an error, both in JSON.
const (
	maxRecord    = 64 << 10
	maxOpenings  = 1 << 30
	maxVerdicts  = 1 << 40 // within one window
	maxErrorText = 1 << 10 // of any failure that is remembered
	// maxAge keeps times within what a Time can be moved by and back.
	maxAge = 100 * 365 * 24 * time.Hour
)

// record is a breaker as bytes. It has durations and no point in time, because
// clocks are set. The totals are not in it: they go on counting in the process
// that wrote it, see [Breaker.Add].
type record struct {
	Version     int           `json:"version"`
	Name        string        `json:"name"`
	Settings    string        `json:"settings"` // their hash
	State       string        `json:"state"`
	Age         time.Duration `json:"age"`       // of the state
	Remaining   time.Duration `json:"remaining"` // of being open
	Openings    int           `json:"openings"`
	Consecutive int           `json:"consecutive"`
	RowAge      time.Duration `json:"row_age"`    // of the first of the failures in a row
	Window      []part        `json:"window"`     // its buckets, the newest first
	WindowAge   time.Duration `json:"window_age"` // of the newest bucket
	Error       string        `json:"error"`
	ErrorAge    time.Duration `json:"error_age"`
}

// part is a bucket of a window in a record.
type part struct {
	Verdicts int `json:"verdicts"`
	Failures int `json:"failures"`
}

// Snapshot returns the breaker as a record, for Restore in another process. A
// half-open breaker is written down as an open one whose time is over. Pause
// the breaker first if the other process is to be the only one that tries the
// backend.
func (b *Breaker) Snapshot() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.gatherLocked(now)
	r := record{
		Version:     recordVersion,
		Name:        b.name,
		Settings:    b.settings.hash(),
		State:       b.state.String(),
		Age:         now.Sub(b.since),
		Remaining:   b.openForNowLocked(),
		Openings:    b.openings,
		Consecutive: b.consecutive,
		Window:      b.window.parts(),
		WindowAge:   now.Sub(b.window.start),
		Error:       b.lastError,
	}
	if b.consecutive > 0 {
		r.RowAge = now.Sub(b.rowSince)
	}
	if b.state == HalfOpen {
		r.State = Open.String()
	}
	if b.lastError != "" {
		r.ErrorAge = now.Sub(b.lastErrorAt)
	}
	text, err := json.Marshal(&r)
	if err != nil {
		return nil // not possible: all fields are numbers and text
	}
	return text
}

// Restore goes on from the record of a breaker of the same name with the same
// settings, which was written age ago: what it says of times has gone on
// meanwhile. It is for a new breaker that nobody uses yet, and nobody is told:
// the state does not change. After an error the breaker is as it was, closed,
// and the error says why.
func (b *Breaker) Restore(text []byte, age time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	age = min(max(0, age), maxAge)
	r, state, err := b.readLocked(text)
	if err != nil {
		return fmt.Errorf("restore the breaker of backend %q, which starts closed instead: %w", b.name, err)
	}
	now := time.Now()
	written := now.Add(-age)
	b.openings, b.consecutive = r.Openings, r.Consecutive
	b.rowSince = written.Add(-r.RowAge)
	b.window.fill(r.Window, written.Add(-r.WindowAge))
	if r.Error != "" {
		b.lastError, b.lastErrorAt = r.Error, written.Add(-r.ErrorAge)
	}
	if state == Open {
		b.holdLocked(max(0, r.Remaining-age), "open for long enough")
	}
	b.settleLocked(state)
	b.since = written.Add(-r.Age)
	b.gatherLocked(now)
	return nil
}

// readLocked parses a record and holds it against what the breaker is.
func (b *Breaker) readLocked(text []byte) (*record, State, error) {
	if len(text) > maxRecord {
		return nil, 0, fmt.Errorf("the record has %d bytes, more than %d", len(text), maxRecord)
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, 0, fmt.Errorf("read the record: %w", err)
	}
	if head.Version != recordVersion {
		return nil, 0, fmt.Errorf("the record has version %d, this loomd reads %d", head.Version, recordVersion)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	r := &record{}
	if err := d.Decode(r); err != nil {
		return nil, 0, fmt.Errorf("read the record: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, 0, errors.New("something follows the record")
	}
	if r.Name != b.name {
		return nil, 0, fmt.Errorf("the record is that of backend %q", r.Name)
	}
	state, err := r.check()
	if err != nil {
		return nil, 0, err
	}
	if h := b.settings.hash(); r.Settings != h {
		return nil, 0, fmt.Errorf("the settings have changed since it was %s", state)
	}
	if r.Remaining > b.settings.MaxOpenFor {
		return nil, 0, fmt.Errorf("the record is open for %s, more than max open for", r.Remaining)
	}
	return r, state, nil
}

// check holds a record to what Snapshot writes.
func (r *record) check() (State, error) {
	state, ok := stateNamed(r.State)
	switch {
	case !ok || state == HalfOpen:
		return 0, fmt.Errorf("the record has the unknown state %q", r.State)
	case slices.ContainsFunc([]time.Duration{r.Age, r.ErrorAge, r.RowAge, r.WindowAge}, func(d time.Duration) bool { return d < 0 || d > maxAge }):
		return 0, errors.New("the record has an impossible age")
	case r.Remaining < 0, r.Remaining > 0 && state != Open:
		return 0, errors.New("the record has an impossible remaining time")
	case r.Openings < 0 || r.Openings > maxOpenings || r.Consecutive < 0 || r.Consecutive > maxOpenings:
		return 0, errors.New("the record has an impossible count")
	case len(r.Window) > buckets || slices.ContainsFunc(r.Window, part.impossible):
		return 0, errors.New("the record has an impossible window")
	case len(r.Error) > maxErrorText:
		return 0, fmt.Errorf("the record has an error of %d bytes, more than %d", len(r.Error), maxErrorText)
	}
	return state, nil
}

func (p part) impossible() bool {
	return p.Failures < 0 || p.Failures > p.Verdicts || p.Verdicts > maxVerdicts
}

func stateNamed(name string) (State, bool) {
	for _, s := range States() {
		if s.String() == name {
			return s, true
		}
	}
	return 0, false
}
