package server

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// hushPatience is how long a scrape may hold up a reload: it takes some
	// milliseconds.
	hushPatience = 500 * time.Millisecond
	// heardPatience is how long who asks for figures waits for those that the
	// process before counted between the two: it reports them at once.
	heardPatience = 2 * time.Second
)

// heard is whether the process before has told what it counted until it was
// replaced. Until then figures would be shown that are less than those which
// it has shown.
type heard struct {
	// Immutable.
	from int // its generation; 0: there is none
	yes  chan struct{}
	once sync.Once
}

func newHeard(from int) *heard {
	h := &heard{from: from, yes: make(chan struct{})}
	if from == 0 {
		h.now(0)
	}
	return h
}

// now says that the process of a generation has told, or never will.
func (h *heard) now(generation int) {
	if generation == h.from {
		h.once.Do(func() { close(h.yes) })
	}
}

// wait returns when it has, or has not in time, or ctx ends.
func (h *heard) wait(ctx context.Context) {
	t := time.NewTimer(heardPatience)
	defer t.Stop()
	select {
	case <-h.yes:
	case <-t.C:
	case <-ctx.Done():
	}
}

// hearFigures takes what an older process has counted.
func (s *Server) hearFigures(generation int, data []byte) {
	if err := s.ledger.Take(generation, data); err != nil {
		s.log.Warn("what an older process counts is not taken over", zap.Error(err))
	}
	s.watch.heard.now(generation)
}

// figuresEnd says that an older process counts no more.
func (s *Server) figuresEnd(generation int) {
	s.ledger.Gone(generation)
	s.watch.heard.now(generation)
}

// hush has who asks for figures come to the successor from now on, and waits for
// those who are being answered: none may have seen more than is told next.
func (w *watch) hush() {
	if w.monitor == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), hushPatience)
	defer cancel()
	w.monitor.server.Pause(ctx)
}

// unhush takes back hush.
func (w *watch) unhush() {
	if w.monitor != nil {
		w.monitor.server.Resume()
	}
}
