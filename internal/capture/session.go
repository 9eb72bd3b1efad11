package capture

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/protojson"

	loomv1 "loom/api/loom/v1"
)

// sessionQueue is how many calls may wait to be written. Beyond it they are
// left out of the file and counted: no call waits for a disk.
const sessionQueue = 4096

// sessionFlush is how long a call may wait in memory before it is in the file.
const sessionFlush = time.Second

const (
	// sessionClose is how long Close waits for a file that takes nothing, such
	// as one on a server that is gone: twice, before and after it was given up.
	sessionClose = 2 * time.Second
	// sessionCloseSlow is how long it waits for one that takes a call now and
	// then: a full queue is written within a second, unless the machine is
	// very busy.
	sessionCloseSlow = 20 * time.Second
)

// SessionOptions says where the session file is and how it is bounded.
type SessionOptions struct {
	Dir   string // made if it is not there, for the owner alone
	Name  string
	Size  int64 // of one file in bytes; then the next one begins
	Files int   // how many are kept; at least 1
	Log   *zap.Logger
}

// Session writes each call that ends to a file, one line of protojson each. It
// waits while another process writes that file, whose lock says so.
type Session struct {
	// Immutable.
	opts  SessionOptions
	queue chan queued   // records send, run receives
	stop  chan struct{} // Close closes it
	ended chan struct{} // run closes it

	mu     sync.Mutex // a leaf
	closed bool       // guarded by mu: nothing may be queued any more

	lost    atomic.Uint64
	taken   atomic.Uint64           // calls that run has taken from the queue
	opened  atomic.Pointer[os.File] // run stores it for Close, which may have to close it
	givenUp atomic.Bool             // nothing more is written, and no record looked at

	// Owned by run.
	lock    *os.File // nil: it is not ours
	file    *os.File
	out     *bufio.Writer
	written int64
	waiting uint64 // calls in out
	failing bool   // the last write failed, and that was said
}

// OpenSession begins to write the calls of s that end from now on. A file that
// cannot be written is said in the log, and tried again for each call. Close
// ends it.
func (s *Store) OpenSession(o SessionOptions) *Session {
	w := &Session{opts: o, queue: make(chan queued, sessionQueue), stop: make(chan struct{}), ended: make(chan struct{})}
	s.session.Store(w)
	go func() {
		defer close(w.ended)
		w.run()
	}()
	return w
}

// ReopenSession goes on writing after a Close, because the process that was to
// write instead is gone, while it was Uncertain. Calls that ended in between
// are written first.
func (s *Store) ReopenSession(o SessionOptions) *Session {
	w := s.OpenSession(o)
	s.fileOwed()
	return w
}

// fileOwed has the calls written that wait for it. What the ring has forgotten
// meanwhile is lost.
func (s *Store) fileOwed() {
	for r := range s.records {
		if r.owed {
			s.toSession(r)
		}
	}
}

// Uncertain says whether the process before may yet take over again. While it
// may, calls that end there are not written to the session file here: that one
// would write them. They are written once it may not.
func (s *Store) Uncertain(is bool) {
	s.uncertain.Store(is)
	if !is {
		s.fileOwed()
	}
}

// Path is that of the newest file.
func (o SessionOptions) Path() string { return filepath.Join(o.Dir, o.Name+".ndjson") }

// Lost returns how many calls did not get into the file.
func (w *Session) Lost() uint64 { return w.lost.Load() }

// offer queues a call, if there is room. It reports false if the session is
// over, so that the call is another process's to write.
func (w *Session) offer(q queued) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	select {
	case w.queue <- q:
	default:
		w.lost.Add(1)
	}
	return true
}

// Close writes what is queued and closes the file: from then on another process
// may write it. A file that takes nothing keeps nobody from ending: it is given
// up, and that is said.
func (w *Session) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	close(w.stop)
	if w.endedSoon() {
		return
	}
	w.opts.Log.Warn("the session file takes nothing and is given up: calls are missing in it", zap.String("file", w.opts.Path()))
	w.givenUp.Store(true)
	if f := w.opened.Load(); f != nil {
		_ = f.Close() // run, which has it, reports what comes of it
	}
	// What the kernel never returns from is left behind: it looks at no record
	// any more.
	w.endedSoon()
}

// endedSoon waits for run to end, as long as it gets on. It reports false if
// run does not.
func (w *Session) endedSoon() bool {
	pause := time.NewTicker(sessionClose)
	defer pause.Stop()
	for most := time.Now().Add(sessionCloseSlow); ; {
		before := w.taken.Load()
		select {
		case <-w.ended:
			return true
		case <-pause.C:
			if w.taken.Load() == before || time.Now().After(most) {
				return false
			}
		}
	}
}

func (w *Session) run() {
	// At once, so that a process which follows later finds it taken. What is
	// wrong is said when the first call cannot be written.
	_ = w.await()
	flush := time.NewTicker(sessionFlush)
	defer flush.Stop()
	for {
		select {
		case q := <-w.queue:
			w.append(q)
		case <-flush.C:
			w.flush()
		case <-w.stop:
			for len(w.queue) > 0 {
				w.append(<-w.queue)
			}
			w.flush()
			if w.file != nil {
				w.say(w.file.Close())
			}
			w.unlock()
			return
		}
	}
}

// append writes one call.
func (w *Session) append(q queued) {
	w.taken.Add(1)
	err := w.await()
	if w.givenUp.Load() {
		w.lost.Add(1)
		return
	}
	q.record.mu.Lock()
	if !q.holds() {
		q.record.mu.Unlock()
		w.lost.Add(1) // the ring forgot it before its turn came
		return
	}
	c := q.record.call()
	q.record.mu.Unlock()
	shorten(c)
	var line []byte
	if err == nil {
		line, err = protojson.Marshal(c)
	}
	if err == nil {
		err = w.write(append(line, '\n'))
	}
	if err != nil {
		w.lost.Add(1)
		w.say(err)
		return
	}
	w.waiting++
}

// shorten leaves out bytes of messages, the last ones first, that would make
// the line of a call too long to be read back.
func shorten(c *loomv1.Call) {
	left := sessionBytes
	for _, m := range c.GetMessages() {
		if left -= len(m.GetData()); left < 0 {
			m.Data, m.Withheld = nil, withheldLine
		}
	}
}

// withheldLine is why a message is without bytes in the session file.
const withheldLine = "the session file has no room for so large a call"

func (w *Session) write(line []byte) error {
	if w.file != nil && w.written+int64(len(line)) > w.opts.Size && w.written > 0 {
		if err := w.rotate(); err != nil {
			return err
		}
	}
	if w.file == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	n, err := w.out.Write(line)
	w.written += int64(n)
	if err != nil {
		w.abandon()
		return fmt.Errorf("write the session file: %w", err)
	}
	return nil
}

// open begins or continues the newest file. A last line that was cut off gets
// its end, so that only that line is lost.
func (w *Session) open() error {
	f, err := os.OpenFile(w.opts.Path(), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the session file: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("look at the session file: %w", err), f.Close())
	}
	w.file, w.out, w.written = f, bufio.NewWriterSize(f, 64<<10), info.Size()
	w.opened.Store(f)
	last := make([]byte, 1)
	if w.written > 0 {
		if _, err := f.ReadAt(last, w.written-1); err == nil && last[0] != '\n' {
			w.written++
			return w.out.WriteByte('\n')
		}
	}
	return nil
}

// abandon gives up a file that cannot be written, and the calls that wait in
// front of it.
func (w *Session) abandon() {
	_ = w.file.Close() // it failed already, and that is reported
	w.file, w.out = nil, nil
	w.lost.Add(w.waiting)
	w.waiting = 0
}

// rotate moves the files up by one and forgets the oldest.
func (w *Session) rotate() error {
	if err := w.flushed(); err != nil {
		return err
	}
	err := w.file.Close()
	w.file, w.out = nil, nil
	if err != nil {
		return fmt.Errorf("finish a session file: %w", err)
	}
	for i := w.opts.Files - 1; i >= 1; i-- {
		if err := os.Rename(w.opts.numbered(i-1), w.opts.numbered(i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("rotate the session files: %w", err)
		}
	}
	if w.opts.Files == 1 {
		return os.Remove(w.opts.Path())
	}
	return nil
}

// numbered is the path of a file; 0 is the newest.
func (o SessionOptions) numbered(i int) string {
	if i == 0 {
		return o.Path()
	}
	return fmt.Sprintf("%s.%d", o.Path(), i)
}

func (w *Session) flush() {
	if w.waiting > 0 {
		w.say(w.flushed())
	}
}

// flushed writes what waits in memory.
func (w *Session) flushed() error {
	if err := w.out.Flush(); err != nil {
		w.abandon()
		return fmt.Errorf("write the session file: %w", err)
	}
	w.waiting = 0
	return nil
}

// say logs when writing begins to fail, and when it works again.
func (w *Session) say(err error) {
	switch {
	case err != nil && !w.failing:
		w.opts.Log.Warn("calls are missing in the session file", zap.String("file", w.opts.Path()), zap.Error(err))
	case err == nil && w.failing:
		w.opts.Log.Info("calls are written to the session file again", zap.Uint64("missing", w.lost.Load()))
	}
	w.failing = err != nil
}
