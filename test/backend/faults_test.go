package backend

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// One of three endpoints fails every call: it is ejected within two seconds,
// and until its time is over no caller sees an error. Then it is tried again,
// and left out for longer.
func TestOneOfThreeIsBad(t *testing.T) {
	const ejectFor = 3 * time.Second
	good, bad, better := startEndpoint(t, "well"), startEndpoint(t, "failing"), startEndpoint(t, "well")
	p := startProxy(t, "    outlier: {consecutive: 5, eject_for: 3s}", good, bad, better)
	start := time.Now()
	c := p.call(8)
	p.awaitMetric(`loom_backend_endpoints{backend="main",state="ejected"} 1`)
	time.Sleep(2 * ejectFor)
	all := c.end()

	var errors []time.Time
	for _, r := range all {
		if r.err != nil {
			errors = append(errors, r.ended)
		}
	}
	if len(errors) == 0 {
		t.Fatal("the endpoint that fails was never called")
	}
	first, last := errors[0], errors[0]
	again := time.Time{}
	burst := 0
	for _, at := range errors {
		if at.Sub(last) > ejectFor/2 {
			again = at
			break
		}
		last = at
		burst++
	}
	t.Logf("of %d calls %d failed; %d within %v until it was ejected, %v after the start; the next %v later",
		len(all), len(errors), burst, last.Sub(first), last.Sub(start), again.Sub(last))
	if took := last.Sub(first); took > 2*time.Second {
		t.Errorf("the endpoint was ejected after %v", took)
	}
	if again.IsZero() {
		t.Fatal("the endpoint was not tried again")
	}
	// The calls that were in flight ended after it was ejected.
	if quiet := again.Sub(last); quiet < ejectFor-200*time.Millisecond {
		t.Errorf("after %v callers saw an error again", quiet)
	}
	for _, e := range []*endpoint{good, better} {
		if _, ok := firstAt(all, e.address, last); !ok {
			t.Errorf("%s had no calls while the other was ejected", e.address)
		}
	}
	if n := p.ejections(); n < 2 {
		t.Errorf("the log has %d ejections", n)
	}
}

// An endpoint that dies, or hangs, and comes back is in the rotation within
// rise x interval + 1 s, and callers see no error from when it is known to be
// out until then.
func TestEndpointComesBack(t *testing.T) {
	const within = 2*500*time.Millisecond + time.Second // rise x interval + 1 s
	for name, fault := range map[string]struct{ ends, returns func(e *endpoint) }{
		"dies":  {(*endpoint).Kill, func(e *endpoint) { e.start("well") }},
		"hangs": {func(e *endpoint) { e.Signal(syscall.SIGSTOP) }, func(e *endpoint) { e.Signal(syscall.SIGCONT) }},
	} {
		t.Run(name, func(t *testing.T) {
			one, other := startEndpoint(t, "well"), startEndpoint(t, "well")
			p := startProxy(t, "    health: {interval: 500ms, timeout: 300ms, fall: 2, rise: 2}", one, other)
			p.meet(one, other)
			p.awaitMetric(`loom_backend_endpoints{backend="main",state="ready"} 2`)
			fault.ends(other)
			p.awaitMetric(`loom_backend_endpoints{backend="main",state="unhealthy"} 1`)
			out := time.Now()
			c := p.call(4)
			time.Sleep(3 * time.Second)
			fault.returns(other)
			back := time.Now()
			time.Sleep(within + 500*time.Millisecond)
			all := c.end()
			for _, r := range all {
				if r.err != nil {
					t.Fatalf("%v after the endpoint was known to be out a caller saw %v", r.ended.Sub(out), r.err)
				}
			}
			if at, ok := firstAt(all, other.address, out); ok && at.Before(back) {
				t.Errorf("the endpoint answered a call while it was out")
			}
			at, ok := firstAt(all, other.address, back)
			if !ok || at.Sub(back) > within {
				t.Fatalf("in the rotation %v after it was back (%v), want %v at most", at.Sub(back), ok, within)
			}
			t.Logf("%d calls without an error; in the rotation %v after it was back", len(all), at.Sub(back))
		})
	}
}

// Half of the endpoints die at once, under load: callers lose what was on its
// way and no more, the breaker of the backend stays closed, and those that come
// back have calls again.
func TestHalfOfThemDie(t *testing.T) {
	const settled = time.Second // after which nobody may notice
	all := []*endpoint{startEndpoint(t, "well"), startEndpoint(t, "well"), startEndpoint(t, "well"), startEndpoint(t, "well")}
	p := startProxy(t, "    breaker: {}\n    outlier: {eject_for: 1s}", all...)
	p.meet(all...)
	c := p.call(8)
	dead := all[:2]
	for _, e := range dead {
		e.Kill()
	}
	died := time.Now()
	time.Sleep(3 * time.Second)
	for _, e := range dead {
		e.start("well")
	}
	back := time.Now()
	p.Await(t, "those that are back have calls", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, one := firstAt(c.all, dead[0].address, back)
		_, other := firstAt(c.all, dead[1].address, back)
		return one && other
	})
	lost := 0
	for _, r := range c.end() {
		if r.err == nil {
			continue
		}
		lost++
		if r.began.Sub(died) > settled {
			t.Errorf("a call that began %v after they died failed: %v", r.began.Sub(died), r.err)
		}
	}
	t.Logf("%d calls failed, all of them within %v; both had calls again %v after they were back", lost, settled, time.Since(back))
	p.awaitMetric(`loom_breaker_rejections_total{backend="main"} 0`)
}

// Calls with the same key meet at the same endpoint; when one dies, only its
// keys move.
func TestKeysMeet(t *testing.T) {
	one, other, third := startEndpoint(t, "well"), startEndpoint(t, "well"), startEndpoint(t, "well")
	p := startProxy(t, "    balance: ring_hash\n    ring_hash: {metadata: x-user}\n    health: {interval: 500ms, timeout: 300ms, fall: 2, rise: 2}", one, other, third)
	owners := func() map[string]string {
		t.Helper()
		at := make(map[string]string)
		for round := range 3 {
			for i := range 60 {
				key := strconv.Itoa(i)
				who, err := p.who("x-user", key)
				if err != nil {
					t.Fatal(err)
				}
				if round > 0 && at[key] != who {
					t.Fatalf("calls of user %s went to %s and to %s", key, at[key], who)
				}
				at[key] = who
			}
		}
		return at
	}
	before := owners()
	other.Kill()
	p.awaitMetric(`loom_backend_endpoints{backend="main",state="unhealthy"} 1`)
	after := owners()
	count := make(map[string]int)
	for key, at := range before {
		count[at]++
		if at != other.address && after[key] != at || after[key] == other.address {
			t.Errorf("user %s moved from %s to %s, though %s died", key, at, after[key], other.address)
		}
	}
	if len(count) != 3 {
		t.Errorf("60 users are shared out as %v", count)
	}
}

// Beyond limits.concurrent calls are refused, and counted.
func TestConcurrent(t *testing.T) {
	e := startEndpoint(t, "well")
	p := startProxy(t, "    limits: {concurrent: 1}", e)
	p.meet(e)
	e.Signal(syscall.SIGSTOP)
	c := p.call(5)
	p.Await(t, "calls are refused", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.all) >= 4
	})
	e.Signal(syscall.SIGCONT)
	refused := 0
	for _, r := range c.end() {
		if r.err != nil {
			refused++
			if want := `rpc error: code = Unavailable desc = backend "main": too many calls are open`; r.err.Error() != want {
				t.Fatalf("a caller saw %v, want %s", r.err, want)
			}
		}
	}
	p.awaitMetric(fmt.Sprintf("loom_limit_concurrent_refused_total %d", refused))
}
