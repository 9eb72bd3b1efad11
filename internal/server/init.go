package server

import (
	"context"
	"errors"
	"syscall"
	"time"

	"go.uber.org/zap"

	"loom/internal/hotrestart"
)

// initPID is that of the first process of a system or a container, which ends
// with it.
const initPID = 1

const (
	// lookAfter is how often it looks whether all others have ended.
	lookAfter = 100 * time.Millisecond
	// saysDone is after how many looks it says again how it is.
	saysDone = 10
)

// mind keeps the first process of a container while others serve in its place:
// they are its children, and the container would end with it. It returns when
// all of them have ended. When ctx ends, with SIGTERM, it has the one that
// serves end.
func (s *Server) mind(ctx context.Context, link *hotrestart.Link) {
	s.log.Info("this is the first process of its container: it stays until all others have ended")
	s.departure.mu.Lock()
	s.departure.done = true
	s.departure.mu.Unlock()
	s.sayDone(link)
	tick := time.NewTicker(lookAfter)
	defer tick.Stop()
	ending := ctx.Done()
	for n := 1; ; n++ {
		if n%saysDone == 0 {
			s.sayDone(link) // whoever serves now may not have heard
		}
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.ECHILD):
			return
		case pid > 0, errors.Is(err, syscall.EINTR):
			continue
		}
		select {
		case <-tick.C:
		case <-ending:
			ending = nil
			s.passStop(link)
		}
	}
}

// sayDone tells the process that serves that this one has drained, and stays.
func (s *Server) sayDone(link *hotrestart.Link) {
	ctx, cancel := context.WithTimeout(context.Background(), lookAfter)
	defer cancel()
	data, err := s.saveStatus()
	if err == nil {
		err = link.Send(ctx, hotrestart.Message{Name: statusReport, Version: statusVersion, Data: data})
	}
	if err != nil {
		s.log.Debug("status for the process that serves", zap.Error(err))
	}
}

// passStop tells the process that serves that SIGTERM came.
func (s *Server) passStop(link *hotrestart.Link) {
	ctx, cancel := context.WithTimeout(context.Background(), orderPatience)
	defer cancel()
	if err := link.Send(ctx, hotrestart.Message{Name: orderStop, Version: 1}); err != nil {
		s.log.Warn("the process that serves does not hear of SIGTERM", zap.Error(err))
	}
}
