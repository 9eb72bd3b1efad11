package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"go.uber.org/zap"

	"loom/internal/h2"
	"loom/internal/hotrestart"
	"loom/internal/inspector"
)

// spreadShare is the part of restart.drain over which connections are told to
// go after a reload: the rest is for their calls.
const spreadShare = 0.5

// departure is how far a process has come that another one has replaced.
type departure struct {
	mu sync.Mutex
	// Guarded by mu.
	probation bool      // it may yet take over again
	done      bool      // it has drained, and stays for the others' sake
	until     time.Time // when it is cut off; zero: it serves, or is on probation
}

// leave drains after another process has taken over. That one may hurry it.
// ctx ends with SIGTERM, cut at the second one.
func (s *Server) leave(ctx, cut context.Context, next *hotrestart.Successor) {
	limit := time.Duration(s.now().cfg.Restart.Drain)
	last, cutNow := context.WithTimeout(cut, limit)
	defer cutNow()
	hurry, hurryNow := context.WithCancel(ctx)
	defer hurryNow()
	defer s.yieldBreakers()()
	obeying, stop := context.WithCancel(context.Background())
	var listening sync.WaitGroup
	listening.Go(func() {
		s.obey(obeying, next.Link(), map[string]func(){
			orderEnd: hurryNow,
			orderNow: cutNow,
			orderCut: func() {
				s.lastFarewells()
				hurryNow()
				time.AfterFunc(cutAfter, cutNow)
			},
		})
	})
	s.drain(time.Duration(spreadShare*float64(limit)), haste{hurry: hurry.Done(), cut: last.Done()})
	s.watch.told()
	stop()
	listening.Wait()
	s.reporting.tell()
	s.reporting.end()
}

// part lets go of the successor. One that SIGTERM told to end, too, is waited
// for: whoever sent that looks at this process.
func (s *Server) part(ctx, cut context.Context, next *hotrestart.Successor) {
	defer next.Release()
	if s.pid == initPID {
		s.mind(ctx, next.Link())
	}
	_ = next.Link().Close()
	if !s.both {
		return
	}
	select {
	case <-next.Died():
	case <-cut.Done():
		next.Terminate() // the second one cuts
		t := time.NewTimer(cutAfter)
		defer t.Stop()
		select {
		case <-next.Died():
		case <-t.C:
		}
	}
}

// departing notes how far this process is.
func (s *Server) departing(probation bool, until time.Time) {
	s.departure.mu.Lock()
	s.departure.probation, s.departure.until = probation, until
	s.departure.mu.Unlock()
}

// obey does what the process that serves orders, until it has ended or ctx.
func (s *Server) obey(ctx context.Context, link *hotrestart.Link, orders map[string]func()) {
	for {
		m, err := link.Receive(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, io.EOF):
			return
		case err != nil:
			s.log.Debug("order of the process that serves", zap.Error(err))
			continue
		}
		if do := orders[m.Name]; do != nil {
			s.log.Info("the process that serves has this one end", zap.String("order", m.Name))
			do()
		}
	}
}

// lastFarewells tells all connections which call was the last.
func (s *Server) lastFarewells() {
	b := h2.NewBatch()
	for _, c := range s.leavers() {
		c.DrainNow(b)
	}
	b.Flush()
}

// saveStatus is what this process tells the one that has replaced it.
func (s *Server) saveStatus() ([]byte, error) {
	v := s.ownView()
	s.departure.mu.Lock()
	probation, done := s.departure.probation, s.departure.done
	s.departure.mu.Unlock()
	return json.Marshal(&processStatus{
		PID: v.PID, Started: v.Started, Connections: v.Connections, Calls: v.Calls, Why: v.Why, Probation: probation, Done: done,
	})
}

// ownView is this process among the generations.
func (s *Server) ownView() inspector.GenerationView {
	v := inspector.GenerationView{Name: generationName(s.generations.own), Number: s.generations.own, PID: s.pid, Started: s.started, Calls: s.relay.OpenCalls()}
	for _, l := range s.now().all() {
		v.Connections += l.size()
	}
	s.departure.mu.Lock()
	probation, done, until := s.departure.probation, s.departure.done, s.departure.until
	s.departure.mu.Unlock()
	switch left := time.Until(until).Round(time.Second); {
	case done:
		v.Why = "it is the first process of its container, and waits for the others"
	case probation:
		v.Why = "it may take over again"
	case until.IsZero():
		v.Why, v.Serving = "it serves", true
	case v.Calls > 0:
		v.Why = fmt.Sprintf("%d calls go on, for %v at most", v.Calls, max(left, 0))
	case v.Connections > 0:
		v.Why = fmt.Sprintf("%d connections have yet to go, within %v", v.Connections, max(left, 0))
	default:
		v.Why = "it is about to end"
	}
	return v
}

func generationName(number int) string { return fmt.Sprintf("generation %d", number) }

// generationViews are all processes of this loomd, the one that serves first.
func (s *Server) generationViews() []inspector.GenerationView {
	return append([]inspector.GenerationView{s.ownView()}, s.generations.views()...)
}
