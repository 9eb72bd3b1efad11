package server

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"loom/internal/breaker"
)

const (
	// statusEvery is how late systemd may hear of what has changed.
	statusEvery = time.Second
	// stopMargin is how long the end may take when the drain is over.
	stopMargin = 15 * time.Second
)

// attend tells systemd that calls are served, and how they are, until ctx ends.
// The function that it returns waits for the end of that.
func (s *Server) attend(ctx context.Context) (wait func()) {
	if !s.opts.Systemd.Listens() {
		return func() {}
	}
	s.tell(s.opts.Systemd.Ready(s.statusLine()))
	var telling sync.WaitGroup
	telling.Go(func() { s.opts.Systemd.Watch(ctx, s.alive, s.tell) })
	telling.Go(func() {
		tick := time.NewTicker(statusEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.tell(s.opts.Systemd.Status(s.statusLine()))
			case <-ctx.Done():
				return
			}
		}
	})
	return telling.Wait
}

// stopping tells systemd that the unit ends, and how long that may take. It is
// for nobody to hear in a process that has handed over.
func (s *Server) stopping() {
	drain := time.Duration(s.now().cfg.Restart.Drain)
	s.tell(s.opts.Systemd.Stopping(fmt.Sprintf("draining, at most %v", drain), drain+stopMargin))
}

// tell logs what systemd did not hear.
func (s *Server) tell(err error) {
	if err != nil {
		s.log.Warn("systemd", zap.Error(err))
	}
}

// statusLine is what systemctl status shows: it changes seldom.
func (s *Server) statusLine() string {
	f := s.now()
	parts := []string{"serving " + count(len(f.listeners), "listener", "listeners") + ", " + count(len(f.backends), "backend", "backends")}
	if n := notClosed(f.breakers); n > 0 {
		parts = append(parts, count(n, "breaker", "breakers")+" not closed")
	}
	if s.generations.own > 1 {
		parts = append(parts, fmt.Sprintf("generation %d", s.generations.own))
	}
	if n := len(s.generations.all()); n > 0 {
		parts = append(parts, count(n, "older process", "older processes")+" draining")
	}
	if p := s.config.problem.Load(); p != nil {
		first, _, _ := strings.Cut(p.text, "\n")
		parts = append(parts, "not in force: "+first)
	}
	return strings.Join(parts, "; ")
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func notClosed(all map[string]*breaker.Breaker) int {
	n := 0
	for _, b := range all {
		if b.Status().State != breaker.Closed {
			n++
		}
	}
	return n
}
