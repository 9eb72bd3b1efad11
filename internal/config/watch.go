package config

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settleTime is how long nothing may happen to a file before it is looked
	// at: editors and shells write in several steps.
	settleTime = 50 * time.Millisecond
	// settleMost is how long a file that is written again and again waits.
	settleMost = 200 * time.Millisecond
	// pollEvery is how often a file is looked at in any case: not every file
	// system tells of changes, and the system may run out of watches.
	pollEvery = 2 * time.Second
	// linksMost is how many symbolic links the way to a file may have, as in
	// Linux.
	linksMost = 40
)

// Watch calls look now, soon after the file at path may have changed, and every
// few seconds in any case, until ctx ends. It sees files that are written in
// place, replaced, gone for a moment, or reached by symbolic links that are
// swapped, and folders that are replaced. If look returns more than 0, it is
// called again after that time. warn is told once if the system cannot tell of
// changes, so that they are seen later; Watch then goes on.
func Watch(ctx context.Context, path string, look func() (again time.Duration), warn func(error)) {
	w := &watch{path: path, folders: make(map[string]*folder)}
	n, err := fsnotify.NewWatcher()
	if err != nil {
		warn(fmt.Errorf("watch %s, which is looked at every %v instead: %w", path, pollEvery, err))
	} else {
		defer func() { _ = n.Close() }() // nothing is written
		w.notifier, w.events, w.errors = n, n.Events, n.Errors
	}
	w.run(ctx, look, warn)
}

// watch is a file on whose way folders are watched.
type watch struct {
	// Immutable.
	path     string
	notifier *fsnotify.Watcher // nil: the system does not tell
	events   <-chan fsnotify.Event
	errors   <-chan error

	// Owned by run.
	folders map[string]*folder // by path, without symbolic links
	warned  bool
}

// folder is one that is watched, and the names in it that matter.
type folder struct {
	info  os.FileInfo // of the very folder
	names map[string]bool
}

func (w *watch) run(ctx context.Context, look func() time.Duration, warn func(error)) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	settle := time.NewTimer(0)
	defer settle.Stop()
	var latest time.Time // by which a change that was seen is looked at; zero: there is none
	for {
		select {
		case <-ctx.Done():
			return
		case ev := <-w.events:
			if w.concerns(ev) {
				if now := time.Now(); latest.IsZero() {
					latest = now.Add(settleMost)
				}
				settle.Reset(min(settleTime, time.Until(latest)))
			}
			continue
		case _, lost := <-w.errors: // events, so that nothing is known of the file
			if !lost {
				continue
			}
		case <-poll.C:
		case <-settle.C:
		}
		latest = time.Time{}
		w.follow(warn)
		if again := look(); again > 0 {
			settle.Reset(again)
		}
	}
}

// concerns reports whether an event is about something on the way to the file.
func (w *watch) concerns(ev fsnotify.Event) bool {
	if w.folders[ev.Name] != nil {
		return true // the folder itself
	}
	f := w.folders[filepath.Dir(ev.Name)]
	return f != nil && f.names[filepath.Base(ev.Name)] && ev.Op != fsnotify.Chmod
}

// follow watches the folders on the way to the file as it is now.
func (w *watch) follow(warn func(error)) {
	if w.notifier == nil {
		return
	}
	wanted := wayTo(w.path)
	for path, f := range w.folders {
		now, err := os.Stat(path)
		if wanted[path] == nil || err != nil || !os.SameFile(now, f.info) {
			_ = w.notifier.Remove(path) // it may have gone by itself
			delete(w.folders, path)
		}
	}
	for path, names := range wanted {
		if f := w.folders[path]; f != nil {
			f.names = names
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			continue // it comes later: the one above it is watched
		}
		if err := w.notifier.Add(path); err != nil {
			if !w.warned {
				w.warned = true
				warn(fmt.Errorf("watch %s for changes of the configuration, which is looked at every %v instead: %w", path, pollEvery, err))
			}
			continue
		}
		w.folders[path] = &folder{info, names}
	}
}

// wayTo returns the names on the way to a file, by the folders that hold them:
// the file, its folder, and those of every symbolic link between.
func wayTo(path string) map[string]map[string]bool {
	way := make(map[string]map[string]bool)
	note := func(path string) {
		dir := filepath.Dir(path)
		if way[dir] == nil {
			way[dir] = make(map[string]bool)
		}
		way[dir][filepath.Base(path)] = true
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return way
	}
	links := 0
	at := string(filepath.Separator)
	rest := split(path)
	for len(rest) > 0 && links <= linksMost {
		at = filepath.Join(at, rest[0])
		rest = rest[1:]
		target, err := os.Readlink(at)
		if err != nil {
			if len(rest) <= 1 {
				note(at) // the file, or its folder
			}
			continue
		}
		links++
		note(at)
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(at), target)
		}
		at, rest = string(filepath.Separator), append(split(target), rest...)
	}
	return way
}

// split returns the names that a path consists of.
func split(path string) []string {
	var names []string
	for path = filepath.Clean(path); path != filepath.Dir(path); path = filepath.Dir(path) {
		names = append([]string{filepath.Base(path)}, names...)
	}
	return names
}
