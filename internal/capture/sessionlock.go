package capture

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
)

// sessionRetry is how long it takes to notice that another process has let go
// of the session file. Calls that end meanwhile wait in the queue.
const sessionRetry = 10 * time.Millisecond

// sessionHeld is after how long of waiting that is said: a process that was
// reloaded needs less to write what it has.
const sessionHeld = 5 * time.Second

// lockPath is that of a file whose lock is held by who writes the session file.
// It is not that file itself, which is renamed and made anew.
func (o SessionOptions) lockPath() string { return filepath.Join(o.Dir, "."+o.Name+".lock") }

// await returns when no other process writes the session file, as one that was
// reloaded does for a moment, or when the session is given up.
func (w *Session) await() error {
	if w.lock != nil {
		return nil
	}
	if err := os.MkdirAll(w.opts.Dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of the session file: %w", err)
	}
	f, err := os.OpenFile(w.opts.lockPath(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the lock of the session file: %w", err)
	}
	w.lock = f
	retry := time.NewTicker(sessionRetry)
	defer retry.Stop()
	held := time.NewTimer(sessionHeld)
	defer held.Stop()
	for !w.givenUp.Load() {
		free, err := lockFile(f)
		if err != nil {
			// The folder knows no locks: there will be nobody else.
			w.opts.Log.Warn("nothing keeps other processes from writing the session file", zap.Error(err))
			return nil
		}
		if free {
			return nil
		}
		select {
		case <-retry.C:
		case <-held.C:
			w.opts.Log.Warn("another process writes the session file: calls wait until it ends, and those that find no room are missing in it",
				zap.String("file", w.opts.Path()))
		}
	}
	return nil
}

// unlock lets another process write the file.
func (w *Session) unlock() {
	if w.lock != nil {
		_ = w.lock.Close() // nothing was written to it
		w.lock = nil
	}
}
