package relay_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"loom/internal/h2"
	"loom/internal/loomtest"
)

// The model of flow control is simple: whatever windows, sizes and pauses both
// sides choose, the bytes of each direction of each call arrive once and in
// order, unless somebody resets the call; nothing locks up; and what is
// buffered stays under the caps. The scripted peers see to it that no window is
// overrun.
func TestFlowControlModel(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("memory ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runModel(t, seed, false) })
		})
	}
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("tcp ", seed), func(t *testing.T) { runModel(t, seed, true) })
	}
}

// model is one run.
type model struct {
	*rig
	t     *testing.T
	scale time.Duration // a thousandth of a pause's longest

	mu sync.Mutex
	// guarded by mu
	rng   *rand.Rand
	calls map[string]*modelCall

	stopped chan struct{}  // ends what accompanies the calls
	helpers sync.WaitGroup // what accompanies the calls, and the backend's ends of them
	players sync.WaitGroup // the callers' ends of the calls
}

// modelCall is what both ends of a call know of it.
type modelCall struct {
	name     string
	up, down int // bytes that go each way

	mu      sync.Mutex
	reset   bool // somebody resets it, or has
	arrived bool // the backend has got all that it will get
}

func runModel(t *testing.T, seed uint64, tcp bool) {
	rng := rand.New(rand.NewPCG(seed, 42))
	limits := h2.DefaultLimits()
	limits.StreamWindow = pick(rng, 65535, 100_000, 1<<20)
	limits.MaxWindow = max(limits.StreamWindow, pick(rng, 65535, 200_000, 4<<20))
	limits.ConnWindow = pick(rng, 65535, 200_000, 1<<20)
	limits.Buffered = limits.ConnWindow + pick(rng, 0, 100_000, 1<<20)
	limits.Outbox = pick(rng, 64<<10, 100_000, 256<<10)
	// The model's peers send many small window updates.
	limits.Noise = h2.Rate{Burst: 1 << 30, PerSecond: 1}
	m := &model{
		t: t, rng: rng, scale: time.Millisecond,
		calls: make(map[string]*modelCall), stopped: make(chan struct{}),
		rig: newRig(t, func(o *rigOptions) {
			o.limits, o.tcp, o.keptRequest = limits, tcp, 4096
			o.connections = 1 + rng.IntN(3)
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
	for i := 0; !m.allArrived(); i++ {
		if i > 100_000 {
			t.Error("requests are stuck on their way to the backend")
			break
		}
		time.Sleep(m.scale)
	}
	close(m.stopped)
	m.helpers.Wait()
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
		done := c.arrived || c.reset
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
		c := &modelCall{name: fmt.Sprintf("%d.%d", conn, i), up: m.size(), down: m.size()}
		m.mu.Lock()
		m.calls[c.name] = c
		m.mu.Unlock()
		id := down.Open(method, "x-call", c.name)
		m.players.Go(func() { m.send(down.Peer, id, c, c.up, true) })
		m.players.Go(func() { m.receive(down.Peer, id, c, c.down) })
		if m.chance(20) {
			m.players.Go(func() {
				m.pause(100)
				m.resetBy(down.Peer, id, c)
			})
		}
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
	}
}

func (m *model) serveCalls(up *loomtest.Upstream) {
	for {
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
		if c == nil {
			m.t.Errorf("the backend got a call that nobody made: %v", request)
			return
		}
		m.helpers.Go(func() {
			m.receive(up.Peer, id, c, c.up)
			c.mu.Lock()
			c.arrived = true
			c.mu.Unlock()
		})
		m.helpers.Go(func() {
			m.pause(50)
			up.Headers(id)
			m.send(up.Peer, id, c, c.down, false)
			up.Trailers(id, codes.OK)
		})
		if m.chance(10) {
			m.helpers.Go(func() {
				m.pause(100)
				m.resetBy(up.Peer, id, c)
			})
		}
	}
}

func (m *model) resetBy(p *loomtest.Peer, id uint32, c *modelCall) {
	c.mu.Lock()
	c.reset = true
	c.mu.Unlock()
	p.Reset(id, http2.ErrCode(m.draw(14)))
}

func (c *modelCall) wasReset() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reset
}

// byteAt is what stands at place i of a direction.
func (c *modelCall) byteAt(i int, seed string) byte {
	return byte(i*7+i>>8) ^ seed[i%len(seed)]
}

// send sends n bytes in chunks.
func (m *model) send(p *loomtest.Peer, id uint32, c *modelCall, n int, end bool) {
	for at := 0; at < n || end && at == 0; {
		size := min(n-at, 1+m.draw(40_000))
		chunk := make([]byte, size)
		for i := range chunk {
			chunk[i] = c.byteAt(at+i, c.name)
		}
		at += size
		err := p.Send(id, chunk, end && at == n)
		if err != nil && !c.wasReset() {
			m.t.Errorf("call %s, %d of %d bytes: %v", c.name, at, n, err)
		}
		if err != nil || n == 0 {
			return
		}
		m.pause(20)
	}
}

// receive takes n bytes and the end, and gives windows as it likes.
func (m *model) receive(p *loomtest.Peer, id uint32, c *modelCall, n int) {
	at, idle := 0, 0
	for {
		e, err := p.Next(id, time.Duration(1+m.draw(300))*m.scale)
		switch {
		case errors.Is(err, loomtest.ErrStalled) && c.wasReset() && idle > 20:
			return // of all that may come after a reset, nothing must
		case errors.Is(err, loomtest.ErrStalled) && idle > 5000:
			m.t.Errorf("call %s: stuck after %d of %d bytes\n%s", c.name, at, n, p.Transcript())
			return
		case errors.Is(err, loomtest.ErrStalled):
			idle++
			if window, _ := p.Allowed(id); window < 1<<20 {
				p.WindowUpdate(id, uint32(1+m.draw(20_000)))
			}
			continue
		case err != nil:
			m.t.Errorf("call %s, %d of %d bytes: %v", c.name, at, n, err)
			return
		}
		idle = 0
		switch e.Kind {
		case loomtest.KindReset:
			if !c.wasReset() {
				m.t.Errorf("call %s, %d of %d bytes: %v, which nobody asked for\n%s", c.name, at, n, e, p.Transcript())
			}
			return
		case loomtest.KindEnd:
			if at != n && !c.wasReset() {
				m.t.Errorf("call %s ended after %d of %d bytes", c.name, at, n)
			}
			return
		case loomtest.KindHeaders:
			if s := e.Block.Get("grpc-status"); s != "" && s != "0" && !c.wasReset() {
				m.t.Errorf("call %s, %d of %d bytes: status %s %s", c.name, at, n, s, e.Block.Get("grpc-message"))
			}
		case loomtest.KindData:
			for i, b := range e.Data {
				if want := c.byteAt(at+i, c.name); b != want {
					m.t.Errorf("call %s: byte %d is %d, want %d", c.name, at+i, b, want)
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
