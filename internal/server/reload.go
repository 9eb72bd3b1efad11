package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"loom/internal/admin"
	"loom/internal/hotrestart"
)

// maxLines bounds what a reload has to say of its progress: a successor may
// say something of its own at each step.
const maxLines = 200

// reload is one hot restart, from when somebody asks for it until its outcome
// is certain: a fresh process serves and has stood its probation, or all is as
// before.
type reload struct {
	// Immutable.
	since time.Time
	by    string // who asked for it

	mu sync.Mutex
	// Guarded by mu.
	step  string        // that it is at
	lines []string      // what there was to say
	more  chan struct{} // closed when there is more to say, or it is over
	over  bool
	next  admin.Successor // of one that is over
	err   error           // of one that is over
}

func newReload(by string, now time.Time) *reload {
	return &reload{since: now, by: by, step: "wait", more: make(chan struct{})}
}

// enter notes the step that it is at, and reports whether that is another one.
func (r *reload) enter(step string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	another := r.step != step
	r.step = step
	return another
}

// say adds a line about the progress of a step.
func (r *reload) say(step, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step = step
	if r.over || len(r.lines) >= maxLines {
		return
	}
	r.lines = append(r.lines, fmt.Sprintf("%7.3fs  %-9s  %s", time.Since(r.since).Seconds(), step, line))
	close(r.more)
	r.more = make(chan struct{})
}

// end says how it came out.
func (r *reload) end(next admin.Successor, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over, r.next, r.err = true, next, err
	close(r.more)
}

// watch tells each line to say until the reload is over, and returns how it
// came out; or the error of ctx or of say, which do not end the reload.
func (r *reload) watch(ctx context.Context, say func(line string) error) (admin.Successor, error) {
	for told := 0; ; {
		r.mu.Lock()
		lines, over, more, next, err := r.lines[told:], r.over, r.more, r.next, r.err
		r.mu.Unlock()
		for _, line := range lines {
			if err := say(line); err != nil {
				return admin.Successor{}, err
			}
			told++
		}
		if over {
			return next, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			if !r.isOver() {
				return admin.Successor{}, ctx.Err()
			}
		}
	}
}

func (r *reload) isOver() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// describe says which reload it is.
func (r *reload) describe(now time.Time) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("asked for by %s, since %s (%v), at step %s", r.by, r.since.Format(time.TimeOnly), now.Sub(r.since).Round(time.Millisecond), r.step)
}

var (
	errNoReload = &admin.RefusedError{Why: "this loomd was started in a way that knows no reload"}
	errStopping = &admin.RefusedError{Why: "loomd is stopping"}
	errReplaced = &admin.RefusedError{Why: "another process has taken over from this one; ask it"}
)

// reloads takes one reload at a time. One goroutine does them.
type reloads struct {
	queue chan *reload // what begins; it has room for the only one

	mu sync.Mutex
	// Guarded by mu.
	current *reload // nil: none is under way
	closed  error   // why none is taken any more; nil: they are
}

func newReloads() *reloads { return &reloads{queue: make(chan *reload, 1)} }

// begin asks for a reload. It fails if none is taken now, and says why.
func (r *reloads) begin(by string) (*reload, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	switch {
	case r.closed != nil:
		return nil, r.closed
	case r.current != nil:
		return nil, &admin.RefusedError{Why: "another reload is under way: " + r.current.describe(now)}
	}
	r.current = newReload(by, now)
	r.queue <- r.current
	return r.current, nil
}

// close has no more reloads begin.
func (r *reloads) close(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = why
	select {
	case waiting := <-r.queue:
		waiting.end(admin.Successor{}, why)
	default:
	}
}

// done makes room for the next one. The one that replaced this process was the
// last.
func (r *reloads) done(one *reload, next admin.Successor, err error) {
	r.mu.Lock()
	if r.current = nil; err == nil {
		r.closed = errReplaced
	}
	r.mu.Unlock()
	one.end(next, err)
}

// Reload has a fresh process take over, and waits until that is certain; then
// Serve drains and returns. It tells say what goes on. After an error all is as
// before. When ctx ends, or say fails, nobody waits any more, and the reload
// goes on. by says who asks for it. The error is a *admin.RefusedError if none
// is begun, and a *admin.AbortedError if it came to nothing.
func (s *Server) Reload(ctx context.Context, by string, say func(line string) error) (admin.Successor, error) {
	if s.opts.Command == nil {
		return admin.Successor{}, errNoReload
	}
	if why := s.generations.onProbation(); why != "" {
		return admin.Successor{}, &admin.RefusedError{Why: why}
	}
	r, err := s.reloads.begin(by)
	if err != nil {
		return admin.Successor{}, err
	}
	return r.watch(ctx, say)
}

// takeReloads does the reloads that are asked for until one succeeds, whose
// successor it returns, or until ctx ends.
func (s *Server) takeReloads(ctx context.Context) *hotrestart.Successor {
	for {
		select {
		case <-ctx.Done():
			s.reloads.close(errStopping)
			return nil
		case r := <-s.reloads.queue:
			s.log.Info("reload", zap.String("by", r.by))
			next, err := s.handOver(ctx, r)
			if err != nil {
				s.log.Error("reload failed: this process goes on as before", zap.String("by", r.by), zap.Error(err))
				s.reloads.done(r, admin.Successor{}, &admin.AbortedError{Why: err.Error()})
				continue
			}
			s.log.Info("reloaded: this process drains", zap.String("by", r.by), zap.Int("successor", next.PID()), zap.Duration("took", time.Since(r.since)))
			s.reloads.done(r, admin.Successor{Number: s.generations.own + 1, PID: next.PID()}, nil)
			return next
		}
	}
}
