package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"loom/internal/config"
	"loom/internal/h2"
)

// errNotServing is why nothing can be applied.
var errNotServing = errors.New("loomd starts, stops or hands over to another process: nothing can be applied now")

// FixedError says which keys a running process cannot change.
type FixedError struct {
	Fields []config.FieldChange
}

func (e *FixedError) Error() string {
	var all []string
	for _, f := range e.Fields {
		all = append(all, f.String())
	}
	return strings.Join(all, ", ") + " cannot be changed in a running process: run 'loomctl reload'"
}

// fixedKeys are those that a running process cannot change, and what is below
// them. Which socket operators use is agreed between processes, and loggers that
// were made keep their format.
func fixedKeys() []string {
	return []string{"admin.socket", "log.format", "capture.session", "capture.session_size", "capture.session_files", "inspector", "metrics"}
}

// refuse returns the error of changes that include a fixed key.
func refuse(all config.Changes) error {
	var fixed []config.FieldChange
	for _, f := range all.Settings {
		for _, key := range fixedKeys() {
			if f.Path == key || strings.HasPrefix(f.Path, key+".") {
				fixed = append(fixed, f)
			}
		}
	}
	if fixed == nil {
		return nil
	}
	return &FixedError{fixed}
}

// applyTime is how long making a configuration ready may take beyond what the
// system needs: targets that answer later are used when they do.
const applyTime = 200 * time.Millisecond

// Apply puts another configuration in force and returns what differs. It is
// made ready beside what runs, and takes its place as a whole; after an error
// everything is as it was. Calls that are open go on by the rules that they
// began with. It waits for another Apply, and fails unless the server serves.
func (s *Server) Apply(ctx context.Context, cfg *config.Config) (config.Changes, error) {
	s.applying.Lock()
	defer s.applying.Unlock()
	was := s.now()
	all := config.Diff(was.cfg, cfg)
	switch err := refuse(all); {
	case !s.serving:
		return all, errNotServing
	case err != nil:
		return all, err
	case all.Empty():
		return all, nil
	}
	ctx, stop := context.WithTimeout(ctx, applyTime)
	defer stop()
	c := &change{server: s, was: was, next: newInForce(cfg)}
	if err := c.prepare(ctx); err != nil {
		c.cancel()
		return all, fmt.Errorf("nothing is applied: %w", err)
	}
	c.commit()
	s.log.Info("configuration applied", zap.String("config", c.next.shown.Hash), zap.Strings("changes", brief(all)))
	return all, nil
}

// briefLines is how many changes one line of the log tells of.
const briefLines = 20

func brief(all config.Changes) []string {
	lines := strings.Split(all.String(), "\n")
	if n := len(lines) - briefLines; n > 0 {
		lines = append(lines[:briefLines], fmt.Sprintf("and %d more", n))
	}
	return lines
}

// change is a configuration on its way into force.
type change struct {
	// Immutable.
	server *Server
	was    *inForce
	next   *inForce // incomplete until prepare has returned

	undo  []func()          // what prepare has done, in order
	steps []func(*h2.Batch) // of commit; they cannot fail
}

// prepare makes everything that can fail, and nothing that shows.
func (c *change) prepare(ctx context.Context) error {
	c.limits()
	for _, part := range []func(context.Context) error{c.backends, c.rules, c.capture, c.admin, c.listeners} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// cancel takes back what prepare has done, the last first.
func (c *change) cancel() {
	for _, undo := range slices.Backward(c.undo) {
		undo()
	}
}

// commit puts everything in force.
func (c *change) commit() {
	b := h2.NewBatch()
	for _, step := range c.steps {
		step(b)
	}
	b.Flush()
}

// then adds a step of commit.
func (c *change) then(step func(*h2.Batch)) { c.steps = append(c.steps, step) }

// otherwise says how to take back what was just done.
func (c *change) otherwise(undo func()) { c.undo = append(c.undo, undo) }

// limits are those of the process.
func (c *change) limits() {
	s, is := c.server, &c.next.cfg.Limits
	if is.TLSHandshakes == c.was.cfg.Limits.TLSHandshakes {
		c.next.reception.handshakes = c.was.reception.handshakes // those that go on count
	}
	c.then(func(*h2.Batch) {
		s.budget.SetLimit(bufferedTotal(is))
		s.setLevel(c.next.cfg.Log.Level)
	})
}

// setLevel changes the least important kind of line that is logged.
func (s *Server) setLevel(name string) {
	if level, err := zapcore.ParseLevel(name); err == nil && s.opts.Level != nil {
		s.opts.Level.SetLevel(level)
	}
}

// rules has the relay carry calls by the new configuration. It is where the
// change comes into force: what came before is ready for it, and what follows
// is for what is out of use.
func (c *change) rules(context.Context) error {
	s := c.server
	rules, err := c.next.rules()
	if err != nil {
		return err
	}
	tables, err := s.relay.Prepare(rules)
	if err != nil {
		return err
	}
	for name := range c.next.backends {
		if c.next.backends[name] == c.was.backends[name] {
			c.next.since[name] = c.was.since[name]
		} else {
			c.next.since[name] = tables
		}
	}
	c.then(func(b *h2.Batch) {
		s.watch.tally.know(c.next.cfg)
		s.force.Store(c.next)
		before := s.relay.Use(tables)
		s.retire(b, c.was, c.next, before)
	})
	return nil
}
