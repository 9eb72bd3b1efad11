package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"loom/internal/hotrestart"
)

// lent is a listening socket that was handed on, and whether it was another's,
// too, before that.
type lent struct {
	*socket
	shared bool
}

// lend has the sockets be another process's, too.
func lend(all []*socket) []lent {
	out := make([]lent, 0, len(all))
	for _, s := range all {
		out = append(out, lent{s, s.share(true)})
	}
	return out
}

// takeBack has the sockets be as they were, and accepts on them.
func takeBack(all []lent) {
	for _, l := range all {
		l.share(l.shared)
		l.resume()
	}
}

// handOver has a fresh process take over. Without an error that one serves and
// stays, and this one accepts no more; after an error all is as before.
func (s *Server) handOver(ctx context.Context, r *reload) (*hotrestart.Successor, error) {
	s.settled(false) // the successor reads the configuration itself
	s.generations.rest()
	sockets := lend(s.binder.all())
	next, err := hotrestart.Hand(ctx, *s.opts.Command, s.offer(sockets), hotrestart.Options{
		Build: s.opts.Version,
		Ready: time.Duration(s.now().cfg.Restart.ReadyTimeout),
		Progress: func(step hotrestart.Step, what string) {
			switch {
			case what != "":
				r.say(string(step), what)
			case r.enter(string(step)):
				r.say(string(step), describeStep(step))
			}
		},
	})
	if err != nil {
		takeBack(sockets)
		s.resumeBreakers()
		s.generations.goOn()
		s.settled(true)
		return nil, err
	}
	for _, w := range next.Warnings() {
		s.log.Warn("state that the fresh process did not get", zap.String("reason", w))
	}
	for _, l := range sockets {
		l.pause()
	}
	s.departing(true, time.Time{})
	s.watch.hush()
	s.reporting = s.startReports(next.Link())
	s.watch.handed(next.Link())
	r.say("serving", fmt.Sprintf("process %d serves as generation %d; %s", next.PID(), s.generations.own+1, describePlan(next.Plan())))
	if err := s.watchProbation(ctx, r, next); err != nil {
		s.watch.takenBack()
		s.watch.unhush()
		s.reporting.end()
		s.departing(false, time.Time{})
		_ = next.Link().Close()
		next.Release()
		takeBack(sockets)
		s.resumeBreakers()
		s.generations.goOn()
		s.settled(true)
		return nil, err
	}
	s.keepFiles(sockets, next.Plan())
	s.generations.passOn()
	if !s.both { // a unit that stops stays with the process that it stops with
		s.tellMain(ctx, next.PID())
	}
	limit := time.Duration(s.now().cfg.Restart.Drain)
	s.departing(false, time.Now().Add(limit))
	s.reporting.tell() // so that the next reload may follow at once
	r.say("done", fmt.Sprintf("process %d drains for %v at most", s.pid, limit))
	return next, nil
}

// offer is what the successor gets.
func (s *Server) offer(sockets []lent) hotrestart.Offer {
	o := hotrestart.Offer{Generation: s.generations.own + 1, Links: s.generations.links()}
	for _, l := range sockets {
		o.Sockets = append(o.Sockets, hotrestart.Socket{Key: l.key, Conn: l.bare})
	}
	for _, x := range s.sections() {
		o.Sections = append(o.Sections, hotrestart.Section{Name: x.name, Version: x.version, Save: x.save})
	}
	o.Sections = append(o.Sections, s.opts.Crossing...)
	return o
}

// watchProbation waits until the successor has served for a while. It returns
// why this process has to take over again. When ctx ends there is no more
// waiting: the successor is to end, too.
func (s *Server) watchProbation(ctx context.Context, r *reload, next *hotrestart.Successor) error {
	long := time.Duration(s.now().cfg.Restart.Probation)
	r.say("probation", fmt.Sprintf("if it ends within %v, this process takes over again", long))
	t := time.NewTimer(long)
	defer t.Stop()
	select {
	case <-t.C:
	case <-next.Died():
		return errors.New("probation: the fresh process has ended; this one accepts again")
	case <-ctx.Done():
		next.Terminate()
		s.both = true
	}
	return nil
}

// mainPatience is how long systemd may take to take another process for the
// main one.
const mainPatience = 5 * time.Second

// tellMain has systemd take the successor for the main process. There is no way
// back from that, so it comes last.
func (s *Server) tellMain(ctx context.Context, pid int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mainPatience)
	defer cancel()
	s.tell(s.opts.Systemd.Main(ctx, pid))
}

// keepFiles leaves the files of Unix sockets to the successor, but those that
// it does not want.
func (s *Server) keepFiles(sockets []lent, plan hotrestart.Plan) {
	for _, l := range sockets {
		if slices.Contains(plan.Dropped, l.key) {
			l.share(l.shared)
		}
	}
}

func describeStep(step hotrestart.Step) string {
	switch step {
	case hotrestart.StepCheck:
		return "the program on disk is asked whether it could start"
	case hotrestart.StepSpawn:
		return "it is started"
	case hotrestart.StepGreet:
		return "the two processes agree on a version"
	case hotrestart.StepSockets:
		return "listening sockets cross"
	case hotrestart.StepState:
		return "state crosses"
	case hotrestart.StepPrepare:
		return "the fresh process gets ready"
	case hotrestart.StepStart:
		return "it begins to accept"
	}
	return string(step)
}

func describePlan(p hotrestart.Plan) string {
	text := fmt.Sprintf("%d sockets taken over", len(p.Reused))
	if n := len(p.Bound); n > 0 {
		text += fmt.Sprintf(", %d bound", n)
	}
	if n := len(p.Dropped); n > 0 {
		text += fmt.Sprintf(", %d given up", n)
	}
	return text
}
