package backend_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"loom/internal/backend"
	"loom/internal/h2"
	"loom/internal/loomtest"
)

// model is what the calls of one endpoint should look like: the oldest are
// placed, as many as there is room for, the next wait, the rest are refused.
type model struct {
	t    *testing.T
	rig  *rig
	dice *rand.Rand

	connections, streams, pending int

	ups     map[string]*loomtest.Upstream // by the address of the dialling end
	open    []*call                       // placed and not ended
	waiting []*call
	made    int
}

// The queue against a model: calls that come, end and give up in any order.
func TestQueueFollowsTheModel(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dice := rand.New(rand.NewPCG(seed, 1))
				m := &model{
					t: t, dice: dice, connections: 1 + dice.IntN(3), streams: 1 + dice.IntN(3), pending: 1 + dice.IntN(6),
					ups: make(map[string]*loomtest.Upstream),
				}
				m.rig = newRig(t, connections(m.connections), pending(m.pending))
				for range 200 {
					m.step()
					m.settle()
					m.check()
				}
			})
		})
	}
}

// step does one thing at random.
func (m *model) step() {
	switch n := m.dice.IntN(10); {
	case n < 5:
		m.add()
	case n < 8 && len(m.open) > 0:
		m.end()
	case len(m.waiting) > 0:
		m.forget()
	}
}

func (m *model) add() {
	c := &call{name: strconv.Itoa(m.made)}
	m.made++
	full := len(m.waiting) >= m.pending
	m.rig.open(c)
	if full {
		c.want(m.t, "refused: "+backend.ErrPendingFull.Error())
		return
	}
	m.waiting = append(m.waiting, c)
}

// end has the upstream answer a call that is open.
func (m *model) end() {
	i := m.dice.IntN(len(m.open))
	c := m.open[i]
	m.open = append(m.open[:i], m.open[i+1:]...)
	m.up(c).TrailersOnly(c.stream.ID(), codes.OK)
	c.want(m.t, "replied")
}

func (m *model) forget() {
	i := m.dice.IntN(len(m.waiting))
	c := m.waiting[i]
	m.waiting = append(m.waiting[:i], m.waiting[i+1:]...)
	c.giveUp()
	m.rig.backend.Forget(c)
	c.want(m.t, "waits") // nobody spoke to it
}

func (m *model) up(c *call) *loomtest.Upstream {
	return m.ups[c.stream.Conn().NetConn().LocalAddr().String()]
}

// settle accepts the connections that were made, and moves those calls that
// have room now.
func (m *model) settle() {
	synctest.Wait()
	for m.rig.dialled("a") > len(m.ups) {
		conn := m.rig.upstreams("a").AcceptConn()
		m.ups[conn.RemoteAddr().String()] = loomtest.NewUpstream(m.t, conn, maxStreams(uint32(m.streams)))
		synctest.Wait()
	}
	for len(m.waiting) > 0 && len(m.open) < m.connections*m.streams {
		m.open = append(m.open, m.waiting[0])
		m.waiting = m.waiting[1:]
	}
}

func (m *model) check() {
	m.t.Helper()
	for _, c := range m.open {
		c.want(m.t, "placed")
	}
	for _, c := range m.waiting {
		c.want(m.t, "waits")
	}
	if n := len(m.ups); n > m.connections {
		m.t.Fatalf("%d connections, at most %d are allowed", n, m.connections)
	}
}

// storm is a backend in trouble: connections are refused, hang and break,
// endpoints come and go, calls give up. Whatever happens, every call hears
// what became of it, once, and soon.
type storm struct {
	// Immutable.
	t        *testing.T
	rig      *rig
	name     *name
	listener *loomtest.Listener // of all endpoints
	over     context.Context

	mu sync.Mutex
	// Guarded by mu.
	dice *rand.Rand
	calm bool
}

// callers is how many make calls at the same time.
const callers = 8

func TestEveryCallHearsOnce(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runStorm(t, seed) })
		})
	}
}

func runStorm(t *testing.T, seed uint64) {
	of := "storm-" + t.Name()
	over, end := context.WithCancel(t.Context())
	s := &storm{t: t, listener: loomtest.Listen(), over: over, dice: rand.New(rand.NewPCG(seed, 2))}
	s.serve()
	s.rig = newRig(t, targets("names:///"+of), connections(1+s.roll(3)), pending(1+s.roll(20)),
		balance(backend.Balance(s.roll(3))), slowStart(time.Duration(s.roll(2))*time.Minute),
		// As many as there are callers: one that is not given back is missed.
		concurrent(callers),
		func(o *backend.Options) {
			o.Dial = s.dial
			o.Outlier = &backend.Outlier{Consecutive: 1 + s.roll(5), EjectFor: time.Second, MaxEjectedPercent: 50 * s.roll(3)}
		})
	s.name = directory.find(t, of)

	var calling, weather sync.WaitGroup
	for i := range callers {
		calling.Go(func() { s.calls(i) })
	}
	weather.Go(s.moveEndpoints)
	weather.Go(s.drainEndpoints)
	calling.Wait()
	end()
	weather.Wait()

	s.mu.Lock()
	s.calm = true
	s.mu.Unlock()
	// One that no connection from the storm leads to.
	if err := s.name.resolveTo("calm"); err != nil {
		t.Fatal(err)
	}
	c := s.rig.call("after the storm")
	time.Sleep(time.Minute)
	c.want(t, "replied")
	c.placedEndpoint().Done(time.Now(), backend.Good)
	if st := s.rig.backend.Status(); st.InFlight != 0 || st.Waiting != 0 {
		t.Errorf("after the storm %d attempts are in flight and %d calls wait", st.InFlight, st.Waiting)
	}
	for range callers { // whose ends nobody tells
		c := s.rig.call("in the calm")
		time.Sleep(time.Minute)
		c.want(t, "replied")
	}
	s.rig.call("too many").want(t, "refused: "+backend.ErrConcurrent.Error())
}

// serve has a real HTTP/2 server answer, until the test ends.
func (s *storm) serve() {
	server := &http.Server{
		Handler:   http.HandlerFunc(s.handle),
		Protocols: new(http.Protocols),
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: 1 + s.roll(4)},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	server.Protocols.SetUnencryptedHTTP2(true)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(frail{s.listener, s}) })
	s.t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
}

// frail is a listener of which some connections break while they answer.
type frail struct {
	*loomtest.Listener
	storm *storm
}

func (f frail) Accept() (net.Conn, error) {
	conn, err := f.Listener.Accept()
	if err == nil && f.storm.roll(3) == 0 {
		conn.(*loomtest.Conn).CutAfterWriting(int64(f.storm.roll(300)))
	}
	return conn, err
}

// roll returns 0 to n-1.
func (s *storm) roll(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calm {
		return n - 1
	}
	return s.dice.IntN(n)
}

func (s *storm) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	time.Sleep(time.Duration(s.roll(20)) * time.Millisecond)
	switch s.roll(12) {
	case 0:
		return nil, syscall.ECONNREFUSED
	case 1:
		return nil, hang(ctx)
	}
	return s.listener.DialAddr(ctx, "")
}

func (s *storm) handle(w http.ResponseWriter, _ *http.Request) {
	time.Sleep(time.Duration(s.roll(30)) * time.Millisecond)
	w.WriteHeader(http.StatusOK)
}

func (s *storm) moveEndpoints() {
	for s.over.Err() == nil {
		var addresses []string
		for _, a := range []string{"a", "b", "c"} {
			if s.roll(2) == 0 {
				addresses = append(addresses, a)
			}
		}
		_ = s.name.resolveTo(addresses...) // an empty answer is refused, which is right
		time.Sleep(time.Duration(s.roll(100)) * time.Millisecond)
	}
}

// drainEndpoints has an operator who cannot make up his mind.
func (s *storm) drainEndpoints() {
	for s.over.Err() == nil {
		change := s.rig.backend.DrainEndpoint
		if s.roll(3) > 0 {
			change = s.rig.backend.UndrainEndpoint
		}
		_ = change([]string{"a", "b", "c"}[s.roll(3)]) // one that is not there cannot be
		time.Sleep(time.Duration(s.roll(100)) * time.Millisecond)
	}
}

// calls makes calls one after the other.
func (s *storm) calls(worker int) {
	for i := range 40 {
		c := &call{name: fmt.Sprint(worker, "-", i)}
		s.open(c)
		patience := 10 * time.Minute
		if s.roll(5) == 0 {
			patience = time.Duration(s.roll(20)) * time.Millisecond
		}
		s.await(c, patience)
		time.Sleep(time.Duration(s.roll(10)) * time.Millisecond)
	}
}

// open opens the call, which may have a key.
func (s *storm) open(c *call) {
	var p backend.Pick
	if s.roll(2) == 0 {
		p = keyed(s.roll(10))
	}
	s.rig.openWith(c, p)
}

// await waits for a call to end, and gives it up when patience is over.
func (s *storm) await(c *call, patience time.Duration) {
	tries := 1
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		heard, refused, end, replied, at := c.placed+len(c.refused), len(c.refused) > 0, c.end, c.replied, c.endpoint
		if refused && errors.Is(c.refused[len(c.refused)-1], backend.ErrConcurrent) {
			s.t.Errorf("call %s: the place of one that has ended was not given back", c.name)
		}
		again := end != nil && end.Cause == h2.CauseRefused && tries == 1
		if again {
			c.end = nil
		}
		c.mu.Unlock()
		switch {
		case heard > tries:
			s.t.Errorf("call %s was spoken to %d times in %d tries", c.name, heard, tries)
			return
		case again:
			tries++
			at.Done(time.Now(), backend.Neither)
			s.open(c)
		case refused:
			return
		case replied:
			at.Done(time.Now(), backend.Good)
			return
		case end != nil:
			at.Done(time.Now(), backend.Bad)
			return
		case time.Since(start) > patience:
			s.giveUp(c, tries, patience)
			return
		}
	}
}

func (s *storm) giveUp(c *call, tries int, patience time.Duration) {
	if patience > time.Minute {
		s.t.Errorf("call %s: %s, after %v", c.name, c.state(), patience)
	}
	c.giveUp()
	s.rig.backend.Forget(c)
	c.mu.Lock()
	placed, at := c.placed, c.endpoint
	c.mu.Unlock()
	if placed == tries {
		b := h2.NewBatch()
		c.stream.Reset(b, h2.CodeCancel)
		b.Flush()
		at.Done(time.Now(), backend.Neither)
	}
}
