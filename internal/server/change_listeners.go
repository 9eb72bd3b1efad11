package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"go.uber.org/zap"

	"loom/internal/config"
	"loom/internal/h2"
)

// listeners binds those that come. One goes on, whatever it is called, if it
// listens where it did: connections stay, and those that come are treated as
// the configuration has it now. Those that go drain.
func (c *change) listeners(context.Context) error {
	s := c.server
	left := slices.Clone(c.was.listeners)
	for i := range c.next.cfg.Listeners {
		is := &c.next.cfg.Listeners[i]
		key := SocketKey(is.Address.Network, is.Address.Text, is.Name)
		at := slices.IndexFunc(left, func(l *listener) bool { return l.key == key })
		var old *listener
		if at >= 0 {
			old = left[at]
			left = slices.Delete(left, at, at+1)
		}
		l, err := c.listener(is, old)
		if err != nil {
			return err
		}
		c.next.listeners = append(c.next.listeners, l)
	}
	c.next.leaving = slices.DeleteFunc(slices.Clone(c.was.leaving), (*listener).empty)
	for _, l := range left {
		c.next.leaving = append(c.next.leaving, l)
		c.then(func(b *h2.Batch) { s.dismiss(b, l) })
	}
	return nil
}

func (c *change) listener(is *config.Listener, old *listener) (*listener, error) {
	s := c.server
	if old != nil {
		was := old.terms.Load()
		t, err := s.termsOf(is, c.next, was)
		if err != nil {
			return nil, err
		}
		if is.Address.Network == "unix" && was.config.Mode != is.Mode {
			if err := c.setMode(is.Address.Text, was.config.Mode, is.Mode); err != nil {
				return nil, fmt.Errorf("listener %q: %w", is.Name, err)
			}
		}
		c.then(func(b *h2.Batch) { old.renew(b, t) })
		return old, nil
	}
	t, err := s.termsOf(is, c.next, nil)
	if err != nil {
		return nil, err
	}
	l, err := s.listen(is, t)
	if err != nil {
		return nil, c.explainTaken(err, is)
	}
	c.otherwise(func() { _ = l.close() })
	c.then(func(*h2.Batch) { s.welcome(l) })
	return l, nil
}

// setMode changes who may connect to a Unix socket.
func (c *change) setMode(path string, from, to config.FileMode) error {
	if err := os.Chmod(path, fs.FileMode(to)); err != nil {
		return fmt.Errorf("set mode: %w", err)
	}
	c.otherwise(func() { _ = os.Chmod(path, fs.FileMode(from)) })
	return nil
}

// explainTaken says which of our own listeners has the port of one that comes:
// it keeps it until nothing can fail any more.
func (c *change) explainTaken(err error, is *config.Listener) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	for i := range c.was.cfg.Listeners {
		was := &c.was.cfg.Listeners[i]
		if was.Address.Meets(is.Address) {
			return fmt.Errorf("%w by listener %q of this loomd: take that out first, in a change of its own", err, was.Name)
		}
	}
	return err
}

// welcome begins to accept on a listener.
func (s *Server) welcome(l *listener) {
	s.log.Info("listening", zap.String("listener", l.name()), zap.String("address", l.address()))
	s.accepting.Go(func() { s.accept(l) })
}

// dismiss ends a listener: it takes no more connections, and those that it has
// drain.
func (s *Server) dismiss(b *h2.Batch, l *listener) {
	s.log.Info("listener closed", zap.String("listener", l.name()), zap.String("address", l.address()))
	s.closeListener(l)
	for _, conn := range l.conns() {
		conn.Drain(b)
	}
}
