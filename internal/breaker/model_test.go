package breaker

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// model is what a breaker does, said as plainly as possible: it keeps every
// verdict that it heard, and goes through what time brings one after the other.
type model struct {
	s           Settings
	chance      func() float64
	now         time.Time
	state       State
	since       time.Time
	halfOpenAt  time.Time // of Open
	openUntil   time.Time
	consecutive int
	rowSince    time.Time
	openings    int
	origin      time.Time // of the window's parts
	heard       []heard
	calls       []*modelCall
	good        int // successes of this half-open spell
	totals      Totals
}

type heard struct {
	at      time.Time
	failure bool
}

type modelCall struct {
	ticket   Ticket
	unary    bool
	probe    bool
	valid    bool // the state in which it was allowed lasts
	judged   bool
	ended    bool
	deadline time.Time
}

func (m *model) enter(s State) {
	m.state, m.since, m.good = s, m.now, 0
	for _, c := range m.calls {
		c.valid = false
	}
}

func (m *model) open() {
	m.openings++
	m.totals.Openings++
	m.openUntil = m.now.Add(m.s.openFor(m.openings, m.chance()))
	m.halfOpenAt = m.openUntil.Add(1)
	m.enter(Open)
}

func (m *model) clear() {
	m.consecutive, m.openings, m.heard, m.origin = 0, 0, nil, m.now
}

// part is the number of the part of the window in which at lies.
func (m *model) part(at time.Time) int64 { return int64(at.Sub(m.origin) / (m.s.Window / buckets)) }

func (m *model) share() (c count) {
	for _, h := range m.heard {
		if m.part(m.now)-m.part(h.at) < buckets {
			c.verdicts++
			if h.failure {
				c.failures++
			}
		}
	}
	return c
}

// verdict counts one, and changes the state if need be.
func (m *model) verdict(v Verdict) {
	switch v {
	case Excluded:
		m.totals.Excluded++
		return
	case Success:
		m.totals.Successes++
		m.consecutive = 0
		m.heard = append(m.heard, heard{m.now, false})
		if m.state == HalfOpen {
			if m.good++; m.good == m.s.Probes {
				m.clear()
				m.enter(Closed)
			}
		}
	case Failure:
		m.totals.Failures++
		m.failure()
		if m.state == HalfOpen {
			m.open()
		}
	}
}

func (m *model) failure() {
	if m.consecutive == 0 {
		m.rowSince = m.now
	}
	m.consecutive++
	m.heard = append(m.heard, heard{m.now, true})
	c := m.share()
	trips := m.consecutive >= m.s.Consecutive && m.now.Sub(m.rowSince) >= m.s.Lasting || c.verdicts >= m.s.MinRequests && float64(c.failures) >= m.s.FailureRatio*float64(c.verdicts)
	if m.state == Closed && trips {
		m.open()
	}
}

// advance lets time pass until to.
func (m *model) advance(to time.Time) {
	for {
		at := to.Add(1)
		var due *modelCall
		if m.state == Open {
			at = m.halfOpenAt
		}
		for _, c := range m.calls {
			if m.state == HalfOpen && c.probe && c.valid && !c.judged && !c.ended && c.deadline.Before(at) {
				at, due = c.deadline, c
			}
		}
		if at.After(to) {
			m.now = to
			return
		}
		m.now = at
		if due == nil {
			m.enter(HalfOpen)
			continue
		}
		due.judged = true
		m.totals.ProbeTimeouts++
		if due.unary {
			m.verdict(Failure)
		} else {
			m.verdict(Excluded)
		}
	}
}

// probing are the probes without a verdict.
func (m *model) probing() int {
	n := 0
	for _, c := range m.calls {
		if c.probe && c.valid && !c.judged && !c.ended {
			n++
		}
	}
	return n
}

func (m *model) allows() bool {
	return m.state.passes() || m.state == HalfOpen && m.good+m.probing() < m.s.Probes
}

func (m *model) done(c *modelCall, v Verdict) {
	if c.ended {
		return
	}
	c.ended = true
	if c.judged || !c.valid {
		m.totals.Late++
		return
	}
	m.verdict(v)
}

// schedule drives a breaker and its model with the same random calls, outcomes,
// commands and times.
type schedule struct {
	*rig

	rng *rand.Rand
	m   *model
	log []string
}

func runSchedule(t *testing.T, seed uint64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := usual()
		s.Consecutive, s.MinRequests, s.Probes = 1+rng.IntN(6), 1+rng.IntN(12), 1+rng.IntN(4)
		s.Lasting = time.Duration(rng.IntN(2)) * 5 * time.Second
		s.ProbeTimeout = time.Duration(1+rng.IntN(20)) * time.Second
		d := &schedule{rng: rng, rig: newRig(t, s)}
		ours, theirs := rand.New(rand.NewPCG(seed, 2)), rand.New(rand.NewPCG(seed, 2))
		d.chance = ours.Float64
		d.m = &model{s: s, chance: theirs.Float64, now: time.Now(), since: time.Now(), origin: time.Now()}
		for range 250 {
			d.step()
			synctest.Wait()
			d.m.advance(time.Now())
			if !d.agrees() {
				t.Fatalf("seed %d, after:\n%s", seed, strings.Join(d.log[max(0, len(d.log)-30):], "\n"))
			}
		}
	})
}

func (d *schedule) step() {
	switch n := d.rng.IntN(100); {
	case n < 45:
		d.start()
	case n < 80:
		d.end()
	case n < 94:
		span := []time.Duration{1, time.Millisecond, time.Second, 20 * time.Second, 2 * time.Minute}[d.rng.IntN(5)]
		span = time.Duration(d.rng.Int64N(int64(span))) + 1
		d.log = append(d.log, "sleep "+span.String())
		time.Sleep(span)
	case n < 96:
		d.log = append(d.log, "failed afterwards")
		d.Failed("lost")
		if !d.m.state.passes() {
			d.m.totals.Late++
			return
		}
		d.m.totals.Afterwards++
		d.m.failure()
	default:
		d.command()
	}
}

func (d *schedule) start() {
	c := &modelCall{unary: d.rng.IntN(2) == 0, valid: true, probe: d.m.state == HalfOpen, deadline: time.Now().Add(d.m.s.ProbeTimeout)}
	var p Prober = stream{}
	if c.unary {
		p = unary{}
	}
	ticket, rejection, ok := d.Allow(time.Now(), p)
	d.log = append(d.log, "allow: "+d.m.state.String())
	if ok != d.m.allows() || ok && ticket.Probe != c.probe || !ok && rejection.State != d.m.state {
		d.t.Errorf("allowed %v (probe %v, %+v), the model is %s and says %v", ok, ticket.Probe, rejection, d.m.state, d.m.allows())
	}
	if !ok {
		d.m.totals.Rejected++
		return
	}
	d.m.totals.Allowed++
	if c.probe {
		d.m.totals.Probes++
	}
	c.ticket = ticket
	d.m.calls = append(d.m.calls, c)
}

// end gives a verdict, at times for the second time.
func (d *schedule) end() {
	if len(d.m.calls) == 0 {
		return
	}
	i := d.rng.IntN(len(d.m.calls))
	c, v := d.m.calls[i], Verdict(d.rng.IntN(3))
	d.log = append(d.log, "done: "+[]string{"excluded", "success", "failure"}[v])
	d.Breaker.Done(time.Now(), &c.ticket, v, "UNAVAILABLE")
	d.m.done(c, v)
	if d.rng.IntN(4) > 0 {
		d.m.calls = slices.Delete(d.m.calls, i, i+1)
	}
}

func (d *schedule) command() {
	m := d.m
	n := d.rng.IntN(5)
	d.log = append(d.log, []string{"open", "close", "auto", "reset", "probe"}[n])
	switch n {
	case 0:
		d.Open("test")
		if m.state != ForcedOpen {
			m.enter(ForcedOpen)
		}
	case 1:
		d.Close("test")
		if m.state != Disabled {
			m.enter(Disabled)
		}
	case 2:
		d.Auto("test")
		if m.state == ForcedOpen || m.state == Disabled {
			m.clear()
			m.enter(Closed)
		}
	case 3:
		d.Reset("test")
		m.clear()
		if !m.state.passes() {
			m.enter(Closed)
		}
	case 4:
		d.Probe("healthy")
		if m.state == Open {
			m.openUntil, m.halfOpenAt = m.now, m.now.Add(2)
		}
	}
}

func (d *schedule) agrees() bool {
	got, m := d.Status(), d.m
	c := m.share()
	next := time.Duration(0)
	if m.state == Open {
		next = max(0, m.openUntil.Sub(m.now))
	}
	want := Status{
		Name: "users", State: m.state, Since: m.since, Verdicts: c.verdicts, Failures: c.failures, Consecutive: m.consecutive,
		Openings: m.openings, NextProbe: next, Probing: m.probing(), Totals: m.totals,
		LastError: got.LastError, LastErrorAt: got.LastErrorAt,
	}
	if got != want {
		d.t.Errorf("the breaker is\n%+v, the model\n%+v", got, want)
	}
	return !d.t.Failed()
}

func TestRandomSchedules(t *testing.T) {
	for range 40 {
		runSchedule(t, rand.Uint64())
	}
}

// FuzzSchedule takes the seeds that TestRandomSchedules names when it fails.
func FuzzSchedule(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(seed)
	}
	f.Fuzz(runSchedule)
}
