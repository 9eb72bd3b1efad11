package relay_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/h2"
	"loom/internal/loomtest"
	"loom/internal/relay"
	"loom/internal/route"
)

// The model of flow control is simple: whatever windows, sizes and pauses both
// sides choose, the bytes of each direction of each call arrive once and in
// order, unless somebody resets the call; nothing locks up; and what is
// buffered stays under the caps. The scripted peers see to it that no window is
// overrun.
func TestFlowControlModel(t *testing.T) { runModels(t, calm) }

// The same where connections break and backends refuse calls and go away. A
// call may then fail. But its caller always hears how it ended, what arrives is
// right up to there, and no call is served twice.
func TestModelUnderFire(t *testing.T) { runModels(t, fire) }

// The same where the route tries failed calls again, bounds their time, and has
// copies of them come to the same backend. A call may then be served more than
// once, but never two answers are mixed, each attempt has
// its verdict, and nothing is left of any.
func TestModelWithRetries(t *testing.T) { runModels(t, retries) }

// weather is what a run has to live through.
type weather uint8

const (
	calm    weather = iota
	fire            // connections break, backends refuse
	retries         // that, and failed calls are tried again
)

func runModels(t *testing.T, w weather) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("memory ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runModel(t, seed, false, w) })
		})
	}
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("tcp ", seed), func(t *testing.T) { runModel(t, seed, true, w) })
	}
}

// model is one run.
type model struct {
	*rig
	t     *testing.T
	fire  bool          // connections break, backends refuse
	again bool          // calls are tried again
	scale time.Duration // a thousandth of a pause's longest

	mu sync.Mutex
	// guarded by mu
	rng   *rand.Rand
	calls map[string]*modelCall

	stopped chan struct{}  // ends what accompanies the calls
	helpers sync.WaitGroup // what accompanies the calls, and the backend's ends of them
	players sync.WaitGroup // the callers' ends of the calls
	serving atomic.Int64   // the backend's ends that are at work
}

// modelCall is what both ends of a call know of it.
type modelCall struct {
	name     string
	up, down int // bytes that go each way

	mu      sync.Mutex
	resetBy []*loomtest.Peer // reset it or are about to
	mayFail bool             // because of them, or because of the fire
	arrived bool             // the backend has got all that it will get
	served  int              // times that the backend took it on
}

func runModel(t *testing.T, seed uint64, tcp bool, w weather) {
	rng := rand.New(rand.NewPCG(seed, 42))
	limits := h2.DefaultLimits()
	limits.StreamWindow = pick(rng, 65535, 100_000, 1<<20)
	limits.MaxWindow = max(limits.StreamWindow, pick(rng, 65535, 200_000, 4<<20))
	limits.ConnWindow = pick(rng, 65535, 200_000, 1<<20)
	limits.Buffered = limits.ConnWindow + pick(rng, 0, 100_000, 1<<20)
	limits.Outbox = pick(rng, 64<<10, 100_000, 256<<10)
	// What waits for a socket counts against this, too, when a call is answered.
	limits.Buffered = max(limits.Buffered, limits.Outbox+128<<10)
	// The model's peers send many small window updates.
	limits.Noise = h2.Rate{Burst: 1 << 30, PerSecond: 1}
	m := &model{
		t: t, rng: rng, fire: w >= fire, again: w == retries, scale: time.Millisecond,
		calls: make(map[string]*modelCall), stopped: make(chan struct{}),
		rig: newRig(t, func(o *rigOptions) {
			o.limits, o.tcp, o.keptRequest = limits, tcp, 4096
			o.connections = 1 + rng.IntN(3)
			if w == retries {
				o.breakers = map[string]relay.Breaker{"b": newScriptedBreaker(t)}
				tryAgain(&o.rules[0], rng, tcp)
			}
		}),
	}
	if tcp {
		m.scale = time.Microsecond
	} else {
		m.dialer.SetCapacity(pick(rng, 50, 1000, 64<<10))
	}
	m.helpers.Go(m.accept)
	m.helpers.Go(m.watchCaps)
	for conn := range 1 + m.draw(3) {
		m.playConn(conn)
	}
	m.players.Wait()
	for i := 0; !m.allArrived() || m.serving.Load() > 0; i++ {
		if i > 100_000 {
			t.Error("calls are stuck at the backend")
			break
		}
		time.Sleep(m.scale)
	}
	close(m.stopped)
	m.helpers.Wait()
}

// tryAgain has calls tried again, copied, and bounds their time.
func tryAgain(r *route.Rule, rng *rand.Rand, tcp bool) {
	scale := time.Millisecond
	if tcp {
		scale = time.Microsecond
	}
	r.Retry = &route.Retry{
		Attempts: 2 + rng.IntN(4), On: []uint32{uint32(codes.Unavailable)}, BudgetPercent: 100,
		Initial: time.Duration(pick(rng, 1, 100, 1000)) * scale, Max: time.Second,
	}
	r.Mirror = &route.Mirror{Backend: "b", Percent: 30}
	r.Timeout.PerTry = time.Duration(pick(rng, 100, 1000, 10_000)) * scale
	r.Timeout.Idle = time.Duration(pick(rng, 3000, 10_000, 100_000)) * scale
}

// pick draws one of the values, or something between the least and the most.
func pick(rng *rand.Rand, values ...int) int {
	if rng.IntN(4) == 0 {
		return values[0] + rng.IntN(values[len(values)-1]-values[0]+1)
	}
	return values[rng.IntN(len(values))]
}

// allArrived reports whether every request has come to its end at the backend.
func (m *model) allArrived() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.calls {
		c.mu.Lock()
		done := c.arrived || c.mayFail
		c.mu.Unlock()
		if !done {
			return false
		}
	}
	return true
}

func (m *model) draw(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rng.IntN(n)
}

func (m *model) chance(percent int) bool { return m.draw(100) < percent }

// pause sleeps now and then.
func (m *model) pause(percent int) {
	if m.chance(percent) {
		time.Sleep(time.Duration(m.draw(1000)) * m.scale)
	}
}

// playConn starts a caller's connection and some calls on it.
func (m *model) playConn(conn int) {
	down := m.caller(m.receiverOptions()...)
	m.accompany(down.Peer)
	for i := range 1 + m.draw(12) {
		c := &modelCall{name: fmt.Sprintf("%d.%d", conn, i), up: m.size(), down: m.size(), mayFail: m.fire}
		m.mu.Lock()
		m.calls[c.name] = c
		m.mu.Unlock()
		id := down.Open(method, "x-call", c.name)
		m.players.Go(func() { m.send(down.Peer, id, c, c.up, true) })
		m.players.Go(func() { m.receive(down.Peer, id, c, c.down) })
		if m.chance(20) {
			m.players.Go(func() {
				m.pause(100)
				m.reset(down.Peer, id, c)
			})
		}
	}
	if m.fire && m.chance(20) {
		m.helpers.Go(func() { m.breakLater(down.Peer) })
	}
}

// breakLater breaks a connection some time later.
func (m *model) breakLater(p *loomtest.Peer) {
	if !m.wait(3000) {
		return
	}
	switch m.draw(3) {
	case 0:
		p.Cut()
	case 1:
		p.Close()
	case 2:
		p.CloseWrite()
	}
}

func (m *model) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return pick(m.rng, 0, 1, 100, 16384, 65535, 65536, 150_000)
}

// receiverOptions has a peer give its windows by hand, and start with an odd one.
func (m *model) receiverOptions() []loomtest.Option {
	m.mu.Lock()
	defer m.mu.Unlock()
	window := uint32(pick(m.rng, 0, 1, 1000, 65535, 1<<20))
	return []loomtest.Option{
		loomtest.Without(noWindows),
		loomtest.Timeout(time.Hour),
		loomtest.WithSettings(setting(http2.SettingInitialWindowSize, window)),
	}
}

// accompany widens the connection's window as time goes by, and changes the
// initial one.
func (m *model) accompany(p *loomtest.Peer) {
	m.helpers.Go(func() {
		for m.wait(100) {
			if _, conn := p.Allowed(1); conn < 65535 {
				p.WindowUpdate(0, uint32(1+m.draw(100_000)))
			}
			if m.chance(3) {
				p.Settings(setting(http2.SettingInitialWindowSize, uint32(m.draw(100_000))))
			}
		}
	})
}

// wait pauses and reports whether the run goes on.
func (m *model) wait(most int) bool {
	timer := time.NewTimer(time.Duration(1+m.draw(most)) * m.scale)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-m.stopped:
		return false
	}
}

// accept plays the backend on every connection that the relay makes.
func (m *model) accept() {
	for {
		conn, err := m.ups.NextConn(time.Hour, m.stopped)
		if err != nil {
			return
		}
		up := loomtest.NewUpstream(m.t, conn, m.receiverOptions()...)
		m.accompany(up.Peer)
		m.helpers.Go(func() { m.serveCalls(up) })
		if m.fire && m.chance(40) {
			m.helpers.Go(func() { m.breakLater(up.Peer) })
		}
	}
}

func (m *model) serveCalls(up *loomtest.Upstream) {
	for last := uint32(0); ; {
		id, request, err := up.NextCall(100 * m.scale)
		switch {
		case errors.Is(err, loomtest.ErrStalled):
			if !m.wait(1) {
				return
			}
			continue
		case err != nil:
			return
		}
		m.mu.Lock()
		c := m.calls[request.Get("x-call")]
		m.mu.Unlock()
		switch {
		case c == nil:
			m.t.Errorf("the backend got a call that nobody made: %v", request)
			return
		case m.fire && m.chance(10):
			up.Reset(id, http2.ErrCodeRefusedStream)
			continue
		case m.again && m.chance(15):
			up.TrailersOnly(id, codes.Unavailable)
			continue
		case m.fire && m.chance(11):
			// Calls beyond the last are not looked at any more.
			up.GoAway(last, http2.ErrCodeNo, "")
			return
		}
		last = id
		m.serve(up, id, c)
	}
}

// serve plays the backend's end of a call.
func (m *model) serve(up *loomtest.Upstream, id uint32, c *modelCall) {
	c.mu.Lock()
	c.served++
	if c.served > 1 && !m.again {
		m.t.Errorf("call %s came %d times to a backend that took it on", c.name, c.served)
	}
	c.mu.Unlock()
	m.serving.Add(2)
	m.helpers.Go(func() {
		defer m.serving.Add(-1)
		m.receive(up.Peer, id, c, c.up)
		c.mu.Lock()
		c.arrived = true
		c.mu.Unlock()
	})
	m.helpers.Go(func() {
		defer m.serving.Add(-1)
		m.pause(50)
		up.Headers(id)
		if m.send(up.Peer, id, c, c.down, false) {
			up.Trailers(id, codes.OK)
		}
	})
	if m.chance(10) {
		m.helpers.Go(func() {
			m.pause(100)
			m.reset(up.Peer, id, c)
		})
	}
}

func (m *model) reset(p *loomtest.Peer, id uint32, c *modelCall) {
	c.mu.Lock()
	c.resetBy, c.mayFail = append(c.resetBy, p), true
	c.mu.Unlock()
	codes := []http2.ErrCode{http2.ErrCodeNo, http2.ErrCodeCancel, http2.ErrCodeInternal, http2.ErrCodeEnhanceYourCalm}
	p.Reset(id, codes[m.draw(len(codes))])
}

// excused reports whether the call may fail, and whether p itself gave it up.
func (c *modelCall) excused(p *loomtest.Peer) (mayFail, own bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mayFail, slices.Contains(c.resetBy, p)
}

// byteAt is what stands at place i of a direction.
func (c *modelCall) byteAt(i int, seed string) byte {
	return byte(i*7+i>>8) ^ seed[i%len(seed)]
}

// send sends n bytes in chunks and reports whether all of them went out.
func (m *model) send(p *loomtest.Peer, id uint32, c *modelCall, n int, end bool) bool {
	for at := 0; at < n || end && at == 0; {
		size := min(n-at, 1+m.draw(40_000))
		chunk := make([]byte, size)
		for i := range chunk {
			chunk[i] = c.byteAt(at+i, c.name)
		}
		at += size
		if err := p.Send(id, chunk, end && at == n); err != nil {
			if mayFail, _ := c.excused(p); !mayFail || errors.Is(err, loomtest.ErrStalled) {
				m.t.Errorf("call %s, %d of %d bytes: %v\n%s", c.name, at, n, err, p.Transcript())
			}
			return false
		}
		if n == 0 {
			break
		}
		m.pause(20)
	}
	return true
}

// receive takes n bytes and the end, and gives windows as it likes.
func (m *model) receive(p *loomtest.Peer, id uint32, c *modelCall, n int) {
	wrong := func(format string, at int, args ...any) {
		m.t.Errorf("call %s, %d of %d bytes: %s\n%s", c.name, at, n, fmt.Sprintf(format, args...), p.Transcript())
	}
	status := ""
	for at, idle := 0, 0; ; {
		e, err := p.Next(id, time.Duration(1+m.draw(300))*m.scale)
		mayFail, own := c.excused(p)
		switch {
		case errors.Is(err, loomtest.ErrStalled) && own && idle > 20:
			return // nothing has to come after a reset of its own
		case errors.Is(err, loomtest.ErrStalled) && idle > 5000:
			wrong("stuck", at)
			return
		case errors.Is(err, loomtest.ErrStalled):
			idle++
			if window, _ := p.Allowed(id); window < 1<<20 {
				p.WindowUpdate(id, uint32(1+m.draw(20_000)))
			}
			continue
		case err != nil && !mayFail, errors.Is(err, loomtest.ErrOver) && !m.fire:
			wrong("%v", at, err)
			return
		case err != nil:
			return
		}
		idle = 0
		switch e.Kind {
		case loomtest.KindReset:
			if !mayFail {
				wrong("%v, which nobody asked for", at, e)
			}
			return
		case loomtest.KindEnd:
			if at != n && (status == "0" || !mayFail) {
				wrong("the end", at)
			}
			return
		case loomtest.KindHeaders:
			status = e.Block.Get("grpc-status")
			if status != "" && status != "0" && !mayFail {
				wrong("status %s %s", at, status, e.Block.Get("grpc-message"))
			}
		case loomtest.KindData:
			for i, b := range e.Data {
				if want := c.byteAt(at+i, c.name); b != want {
					wrong("byte %d is %d, want %d", at, at+i, b, want)
					return
				}
			}
			at += len(e.Data)
			m.pause(10)
			if m.chance(50) && len(e.Data) > 0 {
				p.WindowUpdate(id, uint32(len(e.Data)))
			}
		}
	}
}

// watchCaps samples what is buffered.
func (m *model) watchCaps() {
	for m.wait(50) {
		l := &m.opts.limits
		m.mu.Lock()
		calls := len(m.calls)
		m.mu.Unlock()
		const grain = 16 << 10 // how exactly the budget knows a connection
		conns := 3 + m.opts.connections
		most := int64(conns*(l.Buffered+grain) + calls*(m.opts.keptRequest+l.StreamWindow))
		if used := m.budget.Used(); used > most {
			m.t.Errorf("%d bytes are buffered, the caps allow %d", used, most)
			return
		}
	}
}
