package breaker

import "time"

// Totals count from the making of the breaker; Add adds those of others.
type Totals struct {
	Allowed       uint64 // attempts, probes among them
	Rejected      uint64 // attempts that were not allowed
	Successes     uint64 // verdicts that counted
	Failures      uint64 // verdicts that counted
	Excluded      uint64 // verdicts that said nothing
	Late          uint64 // verdicts that came too late to count
	Afterwards    uint64 // failures of attempts that had succeeded
	Probes        uint64 // attempts that were allowed while half-open
	ProbeTimeouts uint64 // probes that were silent for too long
	Openings      uint64 // by the breaker's own judgement
}

// Add adds what another breaker of the backend has counted, in a process that
// was here before.
func (b *Breaker) Add(t Totals) {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := &b.totals
	own.Allowed += t.Allowed
	own.Rejected += t.Rejected
	own.Successes += t.Successes
	own.Failures += t.Failures
	own.Excluded += t.Excluded
	own.Late += t.Late
	own.Afterwards += t.Afterwards
	own.Probes += t.Probes
	own.ProbeTimeouts += t.ProbeTimeouts
	own.Openings += t.Openings
}

// Status is a breaker at one moment, for people.
type Status struct {
	Name  string
	State State
	// Since is when the state began.
	Since time.Time
	// Verdicts and Failures are what the window holds.
	Verdicts, Failures int
	// Consecutive are the failures in a row, Openings those without a closing
	// between.
	Consecutive, Openings int
	// NextProbe is how long calls are refused from now, when the state is Open.
	NextProbe time.Duration
	// Probing are the probes without a verdict.
	Probing int
	// LastError is what the last failure was, and LastErrorAt when; empty and
	// zero if there was none.
	LastError   string
	LastErrorAt time.Time
	Totals      Totals
}

// FailureRatio is the share of failures in the window, from 0 to 1.
func (s *Status) FailureRatio() float64 {
	if s.Verdicts == 0 {
		return 0
	}
	return float64(s.Failures) / float64(s.Verdicts)
}

// Status returns what people want to know.
func (b *Breaker) Status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gatherLocked(time.Now())
	c := b.window.sum
	return Status{
		Name:        b.name,
		State:       b.state,
		Since:       b.since,
		Verdicts:    c.verdicts,
		Failures:    c.failures,
		Consecutive: b.consecutive,
		Openings:    b.openings,
		NextProbe:   b.openForNowLocked(),
		Probing:     len(b.probes),
		LastError:   b.lastError,
		LastErrorAt: b.lastErrorAt,
		Totals:      b.totals,
	}
}
