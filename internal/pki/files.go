package pki

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lookEvery is how long files count as unchanged after a look at them.
	lookEvery = time.Second
	// settled is how old a change must be to be read for good: a file may be
	// written again within one tick of its clock, and look the same.
	settled = 2 * time.Second
	// maxFile bounds a file of certificates, in bytes: the authorities of a
	// system take a quarter of it.
	maxFile = 1 << 20
)

// files is a value that is made of files, and made anew when they change.
type files[T any] struct {
	// Immutable.
	names  []string
	parse  func(contents [][]byte) (T, error)
	report func(error) // told of each change that is of no use; nil: nobody is

	value    atomic.Pointer[T] // the last good one
	nextLook atomic.Int64      // Unix nanoseconds

	mu sync.Mutex
	// Guarded by mu.
	seen     []fs.FileInfo // nil in place of a file that is not there
	contents [][]byte      // of value, or of what is wrong
	problem  error         // with the files as they are; nil if value is made of them
}

// load reads the files for the first time. Each must be there and right.
func load[T any](report func(error), parse func([][]byte) (T, error), names ...string) (*files[T], error) {
	f := &files[T]{names: names, parse: parse, report: report}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = f.stat()
	contents, err := f.read()
	if err != nil {
		return nil, err
	}
	v, err := parse(contents)
	if err != nil {
		return nil, err
	}
	f.contents = contents
	f.value.Store(&v)
	f.nextLook.Store(time.Now().Add(lookEvery).UnixNano())
	return f, nil
}

// get returns the value, and looks at the files first if nobody did lately.
// While somebody else looks, the value of before is good enough.
func (f *files[T]) get() *T {
	if time.Now().UnixNano() >= f.nextLook.Load() && f.mu.TryLock() {
		f.look()
		f.mu.Unlock()
	}
	return f.value.Load()
}

// trouble looks at the files and says what is wrong with them; nil if they
// are in force.
func (f *files[T]) trouble() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	return f.problem
}

// look takes over what changed, if it is right.
func (f *files[T]) look() {
	f.nextLook.Store(time.Now().Add(lookEvery).UnixNano())
	now := f.stat()
	if same(f.seen, now) && !fresh(now) {
		return
	}
	f.seen = now
	contents, err := f.read()
	if err == nil && sameContents(f.contents, contents) {
		return // touched, or not yet settled; what there is to say has been said
	}
	f.contents = contents // nil if it could not be read
	var v T
	if err == nil {
		v, err = f.parse(contents)
	}
	if err != nil {
		told := f.problem != nil && f.problem.Error() == err.Error()
		f.problem = err
		if !told && f.report != nil {
			f.report(err)
		}
		return
	}
	f.problem = nil
	f.value.Store(&v)
}

func (f *files[T]) stat() []fs.FileInfo {
	all := make([]fs.FileInfo, len(f.names))
	for i, name := range f.names {
		if info, err := os.Stat(name); err == nil {
			all[i] = info
		}
	}
	return all
}

// same reports whether files are the ones that were seen before.
func same(before, now []fs.FileInfo) bool {
	for i, a := range before {
		b := now[i]
		switch {
		case a == nil && b == nil:
		case a == nil || b == nil, !os.SameFile(a, b), a.Size() != b.Size(), !a.ModTime().Equal(b.ModTime()):
			return false
		}
	}
	return true
}

// fresh reports whether a file changed so lately that it may change again
// without a trace.
func fresh(now []fs.FileInfo) bool {
	for _, info := range now {
		if info != nil && time.Since(info.ModTime()) < settled {
			return true
		}
	}
	return false
}

func (f *files[T]) read() ([][]byte, error) {
	contents := make([][]byte, len(f.names))
	for i, name := range f.names {
		var err error
		if contents[i], err = readFile(name); err != nil {
			return nil, err
		}
	}
	return contents, nil
}

func readFile(name string) ([]byte, error) {
	// A pipe would be waited for: nobody may hold loomd up with the name of one.
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, fmt.Errorf("open %s: not a regular file", name)
	}
	f, err := os.Open(name) //nolint:gosec // the configuration names the file
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, cause(err))
	}
	all, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, cause(err))
	}
	if len(all) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes; is it the right file?", name, maxFile)
	}
	return all, nil
}

// cause takes off the layer that repeats the name of the file.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

func sameContents(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}
