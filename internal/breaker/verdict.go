package breaker

import (
	"fmt"
	"strings"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Failed counts a failure that came after the verdict of its attempt: a stream
// that was a good probe is lost later. Only a breaker that lets calls pass
// counts it.
func (b *Breaker) Failed(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.state.passes() {
		b.totals.Late++
		return
	}
	b.totals.Afterwards++
	b.failureLocked(why)
	b.episode.fail()
	b.followLocked(why)
}

// judgeLocked counts the verdict of an attempt of the present state. While the
// breaker is closed gobreaker hears of it only if it is to open.
func (b *Breaker) judgeLocked(a *Attempt, v Verdict, why string) {
	switch v {
	case Excluded:
		b.totals.Excluded++
	case Success:
		b.totals.Successes++
		b.consecutive = 0
		b.countLocked(time.Now(), false)
	case Failure:
		b.totals.Failures++
		b.failureLocked(why)
	}
	if b.state == HalfOpen {
		b.forgetProbeLocked(a)
	}
	switch {
	case a.asked != nil:
		a.asked.done(v.err())
	case v == Failure && b.episode.trip:
		b.episode.fail()
	}
	b.followLocked(why)
}

// failureLocked counts a failure, and decides whether gobreaker is to open when
// it hears of it.
func (b *Breaker) failureLocked(why string) {
	now := time.Now()
	if b.consecutive == 0 {
		b.rowSince = now
	}
	b.consecutive++
	b.countLocked(now, true)
	b.lastError, b.lastErrorAt = errorText(why), now
	b.trip = b.tripReasonLocked(now)
	b.episode.trip = b.state == Closed && b.trip != noReason
}

// countLocked counts a verdict in the window.
func (b *Breaker) countLocked(now time.Time, failure bool) {
	b.gatherLocked(now)
	b.window.add(failure)
}

// errorText makes what was said of a failure fit for people and records.
func errorText(why string) string {
	if why == "" {
		return "reason unknown"
	}
	if len(why) > maxErrorText {
		why = strings.Clone(why[:maxErrorText])
	}
	return strings.ToValidUTF8(why, "")
}

// tripReason is which condition opens a closed breaker.
type tripReason uint8

const (
	noReason tripReason = iota
	byConsecutive
	byRatio
)

func (b *Breaker) tripReasonLocked(now time.Time) tripReason {
	s, c := &b.settings, b.window.sum
	switch {
	case s.Consecutive > 0 && b.consecutive >= s.Consecutive && now.Sub(b.rowSince) >= s.Lasting:
		return byConsecutive
	case s.FailureRatio > 0 && c.failures > 0 && c.verdicts >= s.MinRequests && float64(c.failures) >= s.FailureRatio*float64(c.verdicts):
		return byRatio
	default:
		return noReason
	}
}

// followLocked goes where gobreaker went. why is what it was told, or why it
// woke.
func (b *Breaker) followLocked(why string) {
	switch to := b.episode.state; {
	case b.state == Closed && to == gobreaker.StateOpen:
		b.openings++
		b.openLocked(b.openForLocked(), b.tripWhyLocked())
	case b.state == HalfOpen && to == gobreaker.StateOpen:
		b.openings++
		b.openLocked(b.openForLocked(), "a probe failed: "+b.lastError)
	case b.state == Open && to == gobreaker.StateHalfOpen:
		b.probeFor = b.settings.ProbeTimeout
		b.enterLocked(HalfOpen, why)
	case b.state == HalfOpen && to == gobreaker.StateClosed:
		b.clearLocked()
		b.enterLocked(Closed, "all probes succeeded")
	}
}

func (b *Breaker) openForLocked() time.Duration {
	return b.settings.openFor(b.openings, b.chance())
}

// tripWhyLocked says for people what opened a closed breaker.
func (b *Breaker) tripWhyLocked() string {
	if b.trip == byRatio {
		c := b.window.sum
		return fmt.Sprintf("%d of %d calls within %s failed, the last: %s", c.failures, c.verdicts, b.settings.Window, b.lastError)
	}
	return fmt.Sprintf("%d failures in a row, the last: %s", b.consecutive, b.lastError)
}

// openLocked has calls refused for d.
func (b *Breaker) openLocked(d time.Duration, why string) {
	b.totals.Openings++
	b.holdLocked(d, "open for long enough")
	b.enterLocked(Open, why)
}

// holdLocked begins an episode in which calls are refused for d; then
// untilWhy is why they are not any more.
func (b *Breaker) holdLocked(d time.Duration, untilWhy string) {
	b.episode = newOpening(b.settings.Probes, d)
	b.openUntil = time.Now().Add(d)
	b.probeWhy = untilWhy
}

// clearLocked forgets what was counted, but for the totals.
func (b *Breaker) clearLocked() {
	b.consecutive, b.openings = 0, 0
	b.freshWindowLocked(time.Now())
}

// enterLocked changes the state. What was allowed before is late from now on.
func (b *Breaker) enterLocked(to State, why string) {
	from := b.state
	b.settleLocked(to)
	b.tellLocked(Event{Backend: b.name, From: from, To: to, Reason: why, At: b.since, RetryIn: b.openForNowLocked()})
}

// settleLocked is enterLocked without anybody being told.
func (b *Breaker) settleLocked(to State) {
	b.state = to
	b.since = time.Now()
	b.epoch++
	b.spellLocked()
	clear(b.probes)
	b.probes = b.probes[:0]
	b.armLocked()
}

// openForNowLocked is how long calls will be refused, as far as it is known.
func (b *Breaker) openForNowLocked() time.Duration {
	if b.state != Open {
		return 0
	}
	return max(0, time.Until(b.openUntil))
}
