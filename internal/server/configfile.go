package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"loom/internal/config"
)

// ConfigFile is the loom.yaml that people edit.
type ConfigFile struct {
	Path string
	// Load reads it, as when loomd started. Its error may be a config.Errors.
	Load func() (*config.Config, config.Warnings, error)
}

// errNoFile is why there is nothing to read again.
var errNoFile = errors.New("loomd was started with flags: there is no file to apply")

// belief is how long a file has to be wrong in the same way before that is said:
// it may be half written, or gone for a moment. What is right is applied at
// once.
const belief = 300 * time.Millisecond

// problem is why the file is not in force as it is.
type problem struct {
	since time.Time
	text  string
}

// configState is what became of the file. All of it may be read at any time.
type configState struct {
	problem          atomic.Pointer[problem] // nil: there is none
	applied, refused atomic.Uint64
}

// note keeps why a file is not in force. It reports false if that is known.
func (s *configState) note(err error) bool {
	was := s.problem.Load()
	if was != nil && was.text == err.Error() {
		return false
	}
	s.problem.Store(&problem{time.Now(), err.Error()})
	s.refused.Add(1)
	return true
}

// Applied is what became of a file that was put in force.
type Applied struct {
	Changes  config.Changes // none: it was in force
	Warnings config.Warnings
}

// ApplyFile reads the file again and puts it in force, as Apply does. Its error
// may be a config.Errors, and stays visible until the file is mended.
func (s *Server) ApplyFile(ctx context.Context) (Applied, error) {
	done, err := s.readAndApply(ctx)
	s.judge(done, err)
	return done, err
}

func (s *Server) readAndApply(ctx context.Context) (Applied, error) {
	if s.opts.File == nil {
		return Applied{}, errNoFile
	}
	// One after the other, so that the file that was read last is in force last.
	s.reading.Lock()
	defer s.reading.Unlock()
	cfg, warnings, err := s.opts.File.Load()
	if err != nil {
		return Applied{}, err
	}
	changes, err := s.Apply(ctx, cfg)
	return Applied{changes, warnings}, err
}

// judge keeps and logs what became of the file.
func (s *Server) judge(done Applied, err error) {
	switch {
	case errors.Is(err, errNotServing), errors.Is(err, errNoFile):
		return
	case err != nil:
		if s.config.note(err) {
			s.log.Error("the configuration is not applied: what ran before stays in force", zap.String("file", s.opts.File.Path), zap.Error(err))
		}
		return
	}
	if s.config.problem.Swap(nil) != nil {
		s.log.Info("the configuration is right again", zap.String("file", s.opts.File.Path))
	}
	if !done.Changes.Empty() {
		s.config.applied.Add(1)
		for _, w := range done.Warnings {
			s.log.Warn("configuration", zap.String("warning", w.Error()))
		}
	}
}

// tend applies the file whenever it changes, until ctx ends.
func (s *Server) tend(ctx context.Context) {
	if s.opts.File == nil {
		return
	}
	t := &tender{server: s} // which has not seen what was read when loomd started: it may have changed since
	config.Watch(ctx, s.opts.File.Path, func() time.Duration { return t.look(ctx) }, func(err error) {
		s.log.Warn("changes of the configuration are seen late", zap.Error(err))
	})
}

// tender looks at the file.
type tender struct {
	// Immutable.
	server *Server

	// Owned by who watches.
	seen  fingerprint
	wrong string    // what was wrong with the file when it was looked at last
	since time.Time // when that was seen first
}

// look applies the file if it has changed, or if what it needs may have. It
// returns after what time the file has to be looked at again, if it has.
func (t *tender) look(ctx context.Context) time.Duration {
	s := t.server
	now := s.fingerprint(s.now().cfg)
	if now == t.seen && t.wrong == "" && s.config.problem.Load() == nil {
		return 0
	}
	t.seen = now
	done, err := s.readAndApply(ctx)
	if errors.Is(err, errNotServing) {
		t.seen = fingerprint{} // this process may go on to serve: it is looked at again
		return 0
	}
	if err == nil {
		t.wrong = ""
		s.judge(done, nil)
		return 0
	}
	if text := err.Error(); text != t.wrong {
		t.wrong, t.since = text, time.Now()
	}
	if left := belief - time.Since(t.since); left > 0 {
		return left
	}
	s.judge(done, err)
	return 0
}

// fingerprint tells a file that changed from one that did not.
type fingerprint [sha256.Size]byte

// fingerprint is that of the file with those that it names.
func (s *Server) fingerprint(cfg *config.Config) fingerprint {
	h := sha256.New()
	if f, err := os.Open(s.opts.File.Path); err == nil {
		_, err = io.Copy(h, io.LimitReader(f, config.MaxFile))
		fmt.Fprintln(h, err, f.Close())
	}
	for _, path := range namedFiles(cfg) {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintln(h, path, "cannot be seen")
			continue
		}
		fmt.Fprintln(h, path, info.Size(), info.ModTime().UnixNano())
	}
	return fingerprint(h.Sum(nil))
}

// namedFiles are the files of a configuration that nobody else looks after.
func namedFiles(cfg *config.Config) []string {
	var all []string
	for i := range cfg.Backends {
		all = append(all, cfg.Backends[i].Descriptors...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
