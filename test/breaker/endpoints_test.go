package breaker

import (
	"fmt"
	"testing"
	"time"

	"loom/test/daemon"
)

// One bad endpoint of three is ejected, and the breaker of its backend does not
// move.
func TestHalfOpen23OneBadEndpointOfThreeIsEjected(t *testing.T) {
	var all []*backend
	for range 3 {
		all = append(all, startBackend(t, daemon.FreeAddress(t), daemon.FreeAddress(t)))
	}
	l := startLoomd(t, fmt.Sprintf("{main: {targets: [%q, %q, %q], outlier: {consecutive: 5, eject_for: 10s, max_ejected_percent: 34}, breaker: %s}}",
		all[0].service, all[1].service, all[2].service, settings), "[{name: all, backend: main}]")
	c := startCallers(t, l.address, 20, 20*time.Millisecond)
	l.Await(t, "calls are answered", func() bool { return c.saw(time.Time{}, time.Now())["OK"] > 200 })

	all[0].tell(failing)
	began := time.Now()
	time.Sleep(2 * time.Second)
	ejected := time.Now()
	before := len(all[0].tell(""))
	time.Sleep(time.Second)
	if n := len(all[0].tell("")) - before; n != 0 {
		t.Errorf("%d calls came to the endpoint that is ejected", n)
	}
	before = len(all[1].tell(failing)) // no more than a third may be ejected
	time.Sleep(time.Second)
	c.end()
	first, then := c.saw(began, ejected), c.saw(ejected, ejected.Add(time.Second))
	t.Logf("callers saw in the first 2 s: %v; in the third: %v", first, then)
	if first["Internal"] == 0 || then["Internal"] != 0 {
		t.Errorf("callers saw %v, then %v, want failures at first and none then", first, then)
	}
	if n := len(all[1].tell("")) - before; n == 0 {
		t.Error("no call came to the endpoint that may not be ejected")
	}
	for _, m := range l.moves("main") {
		if m.At.Before(ejected.Add(time.Second)) {
			t.Errorf("the breaker moved: %+v", m)
		}
	}
}

// called runs a backend with these keys, and a loomd whose callers have answers
// of it.
func called(t *testing.T, keys string) (*backend, *loomd) {
	t.Helper()
	b := startBackend(t, daemon.FreeAddress(t), daemon.FreeAddress(t))
	l := startLoomd(t, fmt.Sprintf("{main: {targets: [%q], %s}}", b.service, keys), "[{name: all, backend: main}]")
	c := startCallers(t, l.address, 20, 20*time.Millisecond)
	l.Await(t, "calls are answered", func() bool { return c.saw(time.Time{}, time.Now())["OK"] > 50 })
	return b, l
}

// The only endpoint is bad: there is nobody else to take the calls, so it is
// the breaker that acts.
func TestHalfOpen23SingleEndpointIsTheBreakersBusiness(t *testing.T) {
	b, l := called(t, "outlier: {consecutive: 5, eject_for: 10s, max_ejected_percent: 50}, breaker: "+settings)
	began := time.Now()
	b.tell(failing)
	l.awaitMove("main", "open", began)
	since := time.Now()
	b.tell(well)
	l.awaitMove("main", "closed", since)
}

// checks has the endpoints asked for their health ten times a second.
const checks = "{interval: 100ms, timeout: 100ms, fall: 2, rise: 3}"

// A backend that says that it is well again is tried early, and called when its
// probes have succeeded.
func TestHalfOpen26HealthyAgainIsTriedEarly(t *testing.T) {
	b, l := called(t, "health: "+checks+", breaker: {open_for: 1m, half_open: {probes: 3}}")
	began := time.Now()
	b.tell(sick)
	l.awaitMove("main", "open", began)
	time.Sleep(500 * time.Millisecond)
	since := time.Now()
	b.tell(well)
	half := l.awaitMove("main", "half-open", since)
	closed := l.awaitMove("main", "closed", since)
	t.Logf("half-open %s and closed %s after it was well again (%s)", half.At.Sub(since).Round(time.Millisecond), closed.At.Sub(since).Round(time.Millisecond), half.Reason)
	if most := 3*100*time.Millisecond + time.Second; closed.At.Sub(since) > most {
		t.Errorf("it took %s to close, want at most %s", closed.At.Sub(since), most)
	}
}

// A backend that fails while it says that it is well is found out all the same,
// and its good health neither closes its breaker nor has it tried more often.
func TestHalfOpen26HealthThatLiesClosesNothing(t *testing.T) {
	b, l := called(t, "health: "+checks+", breaker: {open_for: 10s, half_open: {probes: 3}}")
	began := time.Now()
	b.tell(failing)
	l.awaitMove("main", "open", began)
	time.Sleep(settle)
	before := len(b.tell(""))
	time.Sleep(2 * time.Second)
	if n := len(b.tell("")) - before; n != 0 {
		t.Errorf("%d calls came to the backend while its breaker was open", n)
	}
	if all := l.moves("main"); len(all) != 1 {
		t.Errorf("the breaker moved: %+v", all)
	}
}
