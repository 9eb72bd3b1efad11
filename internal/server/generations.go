package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"loom/internal/hotrestart"
	"loom/internal/inspector"
)

// What the process that serves tells those that drain.
const (
	orderEnd = "end" // drain without spreading the farewells: SIGTERM has come
	orderCut = "cut" // the last farewells at once; what is open in a while is cut off
	orderNow = "now" // what is open is cut off: SIGTERM has come twice
	// orderStop goes the other way: a process that only waits has got SIGTERM.
	orderStop = "stop"
)

const (
	// orderPatience is how long an order may take to be sent.
	orderPatience = time.Second
	// cutAfter is how long calls of a process that is told to cut may still take.
	cutAfter = 5 * time.Second
	// firstWord is how long a predecessor may be silent until it counts as sure
	// of this process: it tells how it fares each second.
	firstWord = 10 * time.Second
	// sureSoon is how long who asks for a reload is kept waiting for the word of
	// the predecessor that it will not take over again: it may be under way.
	sureSoon = 300 * time.Millisecond
)

// generations are the processes that served before this one and still drain.
type generations struct {
	// Immutable.
	own     int // generation of this process: 1 for the first, +1 with each reload
	log     *zap.Logger
	reports func() []report
	sure    func()        // called once, when no older process can take over again
	certain chan struct{} // closed with that
	stop    func()        // called when a process that waits for this one has got SIGTERM

	receiving sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	older []*older // the youngest first
	quiet func()   // ends all receiving; nil while there is none
	since time.Time
	owner bool          // certain is closed, and sure has been called
	empty chan struct{} // closed when none of them drains any more
}

// older is one process that drains.
type older struct {
	link *hotrestart.Link // immutable
	// Guarded by generations.mu.
	status *processStatus // as it was told last; nil: nothing was yet
	told   string         // the last order
	done   bool           // it drains no more, and waits for the others: see Server.mind
}

// processStatus is what a process tells of itself.
type processStatus struct {
	PID         int       `json:"pid"`
	Started     time.Time `json:"started"`
	Connections int       `json:"connections"`
	Calls       int       `json:"calls"`
	Why         string    `json:"why"`       // it still lives
	Probation   bool      `json:"probation"` // it may yet take over again
	Done        bool      `json:"done"`      // it drains no more, and stays for the others' sake
}

func newGenerations(own int, log *zap.Logger) *generations {
	g := &generations{own: own, log: log, since: time.Now(), empty: make(chan struct{}), certain: make(chan struct{}), sure: func() {}, stop: func() {}}
	close(g.empty)
	return g
}

// inherit begins to hear from the processes at the other ends of links. Those
// of them that are more than most, the oldest, are told to cut.
func (g *generations) inherit(links []*hotrestart.Link, most int) {
	g.mu.Lock()
	g.since = time.Now()
	for _, l := range links {
		g.older = append(g.older, &older{link: l})
	}
	if len(links) > 0 {
		g.empty = make(chan struct{})
	}
	// The first process of a container stays anyway.
	draining := slices.DeleteFunc(slices.Clone(g.older), func(o *older) bool { return o.link.PID() == initPID })
	excess := draining[min(most, len(draining)):]
	g.mu.Unlock()
	g.goOn()
	for _, o := range excess {
		g.log.Warn("as many older processes drain as may (restart.generations): the oldest is cut short",
			zap.Int("generation", o.link.Generation()), zap.Int("pid", o.link.PID()), zap.Int("generations", most))
		g.order(o, orderCut)
	}
}

// order tells an older process something.
func (g *generations) order(o *older, what string) {
	ctx, cancel := context.WithTimeout(context.Background(), orderPatience)
	defer cancel()
	g.mu.Lock()
	o.told = what
	g.mu.Unlock()
	if err := o.link.Send(ctx, hotrestart.Message{Name: what, Version: 1}); err != nil {
		g.log.Debug("order to an older process", zap.String("order", what), zap.Int("generation", o.link.Generation()), zap.Error(err))
	}
}

// orderAll tells all older processes that drain something.
func (g *generations) orderAll(what string) {
	for _, o := range g.draining() {
		g.order(o, what)
	}
}

// draining are those that have calls or connections, as far as is known.
func (g *generations) draining() []*older {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(g.older), func(o *older) bool { return o.done })
}

func (g *generations) all() []*older {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.older)
}

// links are those to the older processes, the youngest first.
func (g *generations) links() []*hotrestart.Link {
	var all []*hotrestart.Link
	for _, o := range g.all() {
		all = append(all, o.link)
	}
	return all
}

// goOn hears from all of them until rest.
func (g *generations) goOn() {
	ctx, cancel := context.WithCancel(context.Background())
	g.mu.Lock()
	defer g.mu.Unlock()
	g.quiet = cancel
	for _, o := range g.older {
		g.receiving.Go(func() {
			if g.mayListen(ctx, o) {
				g.listen(ctx, o)
			}
		})
	}
}

// mayListen waits while the predecessor may take over again: it would never
// hear what those before it have told this process. It reports false if ctx
// ends first.
func (g *generations) mayListen(ctx context.Context, o *older) bool {
	if o.link.Generation() == g.own-1 || g.own == 1 {
		return true
	}
	t := time.NewTimer(firstWord)
	defer t.Stop()
	select {
	case <-g.certain:
		return true
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// rest has nobody use the links until goOn: a successor is to have them.
func (g *generations) rest() {
	g.mu.Lock()
	quiet := g.quiet
	g.quiet = nil
	g.mu.Unlock()
	if quiet != nil {
		quiet()
	}
	g.receiving.Wait()
}

// passOn lets go of the links: the successor has them.
func (g *generations) passOn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, o := range g.older {
		_ = o.link.Close()
	}
	g.forgetLocked(func(*older) bool { return true })
}

// listen hears from one process until it has ended, or ctx.
func (g *generations) listen(ctx context.Context, o *older) {
	all := g.reports()
	for {
		m, err := o.link.Receive(ctx)
		switch {
		case err == nil:
			g.take(o, m, all) // even if ctx has ended: nobody else gets it
		case errors.Is(err, io.EOF):
			g.ended(o)
			return
		case ctx.Err() != nil:
			return
		default:
			// The next message may be whole; a link that is lost says EOF.
			g.log.Debug("report of an older process", zap.Int("generation", o.link.Generation()), zap.Error(err))
		}
	}
}

func (g *generations) take(o *older, m hotrestart.Message, all []report) {
	if m.Name == orderStop {
		g.stop()
		return
	}
	i := slices.IndexFunc(all, func(r report) bool { return r.name == m.Name })
	if i < 0 || all[i].version != m.Version {
		g.log.Debug("an older process reports what this one does not know",
			zap.Int("generation", o.link.Generation()), zap.String("report", m.Name), zap.Uint32("version", m.Version))
		return
	}
	all[i].take(o.link.Generation(), m.Data)
}

// hear takes the status of an older process.
func (g *generations) hear(generation int, data []byte) {
	var st processStatus
	if err := json.Unmarshal(data, &st); err != nil {
		g.log.Debug("status of an older process", zap.Int("generation", generation), zap.Error(err))
		return
	}
	finished := false
	g.mu.Lock()
	for _, o := range g.older {
		if o.link.Generation() == generation {
			o.status = &st
			if finished = st.Done && !o.done; finished {
				g.changeLocked(func() { o.done = true })
			}
		}
	}
	g.mu.Unlock()
	if finished {
		g.gone(generation)
	}
	if generation == g.own-1 && !st.Probation {
		g.becomeOwner()
	}
}

// ended forgets a process that has ended.
func (g *generations) ended(o *older) {
	_ = o.link.Close()
	g.mu.Lock()
	g.forgetLocked(func(x *older) bool { return x == o })
	g.mu.Unlock()
	if o.link.Generation() == g.own-1 {
		g.becomeOwner()
	}
	g.gone(o.link.Generation())
	g.log.Info("an older process has ended", zap.Int("generation", o.link.Generation()), zap.Int("pid", o.link.PID()))
}

// gone says that nothing more is told of a generation.
func (g *generations) gone(generation int) {
	for _, r := range g.reports() {
		if r.gone != nil {
			r.gone(generation)
		}
	}
}

func (g *generations) forgetLocked(which func(*older) bool) {
	g.changeLocked(func() { g.older = slices.DeleteFunc(g.older, which) })
}

// changeLocked makes a change after which fewer processes may drain.
func (g *generations) changeLocked(change func()) {
	drains := func() bool { return slices.ContainsFunc(g.older, func(o *older) bool { return !o.done }) }
	before := drains()
	change()
	if before && !drains() {
		close(g.empty)
	}
}

// becomeOwner says, once, that this process has all for itself.
func (g *generations) becomeOwner() {
	g.mu.Lock()
	first := !g.owner
	g.owner = true
	g.mu.Unlock()
	if first {
		close(g.certain)
		g.sure()
	}
}

// onProbation returns why no reload may begin, while the predecessor may still
// take over again.
func (g *generations) onProbation() (why string) {
	g.mu.Lock()
	sure := g.own == 1 || g.owner || time.Since(g.since) > firstWord
	g.mu.Unlock()
	if sure {
		return ""
	}
	t := time.NewTimer(sureSoon)
	defer t.Stop()
	select {
	case <-g.certain:
		return ""
	case <-t.C:
	}
	return fmt.Sprintf("another reload is under way: generation %d may still take over again (restart.probation)", g.own-1)
}

// wait returns when no older process drains any more, or ctx ends.
func (g *generations) wait(ctx context.Context) bool {
	g.mu.Lock()
	empty := g.empty
	g.mu.Unlock()
	select {
	case <-empty:
		return true
	case <-ctx.Done():
		return false
	}
}

// views are the older processes as people see them.
func (g *generations) views() []inspector.GenerationView {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []inspector.GenerationView
	for _, o := range g.older {
		v := inspector.GenerationView{Name: generationName(o.link.Generation()), Number: o.link.Generation(), PID: o.link.PID(), Why: "it has said nothing yet"}
		if st := o.status; st != nil {
			v.Started, v.Connections, v.Calls, v.Why = st.Started, st.Connections, st.Calls, st.Why
		}
		switch o.told {
		case orderCut:
			v.Why += "; it is cut short, as there are too many"
		case orderEnd, orderNow:
			v.Why += "; it is told to end"
		}
		all = append(all, v)
	}
	return all
}
