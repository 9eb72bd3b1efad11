package export

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	loomv1 "loom/api/loom/v1"
)

const (
	// readBuffer is how much of a line is looked at in one piece.
	readBuffer = 64 << 10
	// maxWarnings is how many warnings a person would read; more are counted.
	maxWarnings = 20
)

// errTotal is what ends the reading of a file that is too large.
var errTotal = errors.New("it is larger than what is read")

// ReadLoom reads a saved capture. A line that cannot be used is left out, and
// a file that ends early or is too large is read so far, with a warning each.
// The error is about a file that is no saved capture.
func ReadLoom(r io.Reader, limits Limits) (*Saved, error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("not a saved capture of loom: %w", err)
	}
	// What follows the archive is none of ours.
	zip.Multistream(false)
	f := &reading{
		limits: limits,
		in:     bufio.NewReaderSize(zip, readBuffer),
		saved:  &Saved{Descriptors: map[string]*descriptorpb.FileDescriptorSet{}},
	}
	if err := f.head(); err != nil {
		return nil, err
	}
	f.lines()
	if f.unsaid > 0 {
		f.saved.Warnings = append(f.saved.Warnings, fmt.Sprintf("%d more lines could not be used", f.unsaid))
	}
	return f.saved, nil
}

// reading is a file that is being read. One goroutine has it.
type reading struct {
	limits Limits
	in     *bufio.Reader
	saved  *Saved
	number int   // of the line
	total  int64 // bytes read, and the weight of what was made of them
	calls  int   // lines of calls, usable or not
	unsaid int   // warnings beyond maxWarnings
}

func (f *reading) head() error {
	data, err := f.next()
	var head line
	if err != nil || json.Unmarshal(data, &head) != nil || head.Loom == 0 {
		return errors.New("not a saved capture of loom: it does not begin as one")
	}
	if head.Loom > version {
		return fmt.Errorf("the saved capture has version %d and this loom reads version %d: use a newer loom", head.Loom, version)
	}
	f.saved.At = head.Saved
	return nil
}

// lines reads what comes behind the head.
func (f *reading) lines() {
	for {
		data, err := f.next()
		switch {
		case err != nil:
			f.stop(err)
			return
		case data == nil:
			f.warn("line %d is longer than %d bytes and is left out", f.number, f.limits.LineBytes)
			continue
		}
		var l line
		if err := json.Unmarshal(data, &l); err != nil {
			f.warn("line %d is left out: %v", f.number, err)
			continue
		}
		if l.End != nil {
			if l.End.Calls != f.calls {
				f.warn("the file has %d calls where %d were written", f.calls, l.End.Calls)
			}
			return
		}
		if f.total += weight(&l); f.total > f.limits.TotalBytes {
			f.stop(errTotal)
			return
		}
		f.take(&l)
	}
}

// stop says why the rest is not read. It is said whatever was said before.
func (f *reading) stop(err error) {
	what := fmt.Sprintf("the file ends early, after %d calls: %v", len(f.saved.Calls), err)
	if errors.Is(err, errTotal) {
		what = fmt.Sprintf("the file needs more than the %d bytes that are read: only its first %d calls are here", f.limits.TotalBytes, len(f.saved.Calls))
	}
	f.saved.Warnings = append(f.saved.Warnings, what)
}

// take uses a line of the middle. One that is of a kind that is not known is
// from a newer loom, and is passed over.
func (f *reading) take(l *line) {
	switch {
	case l.Call != nil:
		f.calls++
		if len(f.saved.Calls) >= f.limits.Calls {
			f.warn("line %d: a call beyond the first %d is left out", f.number, f.limits.Calls)
			return
		}
		c := &loomv1.Call{}
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(l.Call, c); err != nil {
			f.warn("line %d is left out: %v", f.number, err)
			return
		}
		f.saved.Calls = append(f.saved.Calls, c)
	case l.Backend != "":
		if len(f.saved.Descriptors) >= f.limits.Backends {
			f.warn("line %d: descriptors of a backend beyond the first %d are left out", f.number, f.limits.Backends)
			return
		}
		set := &descriptorpb.FileDescriptorSet{}
		if err := (proto.UnmarshalOptions{RecursionLimit: maxDepth}).Unmarshal(l.Descriptors, set); err != nil {
			f.warn("line %d: the descriptors of backend %q are left out: %v", f.number, l.Backend, err)
			return
		}
		f.saved.Descriptors[l.Backend] = set
	}
}

// next returns the next line, without its end, and nil for one that is too
// long, which it passes over without keeping it.
func (f *reading) next() ([]byte, error) {
	f.number++
	data := []byte{}
	for {
		piece, err := f.in.ReadSlice('\n')
		if f.total += int64(len(piece)); f.total > f.limits.TotalBytes {
			return nil, errTotal
		}
		if data != nil && len(data)+len(piece) > f.limits.LineBytes {
			data = nil
		} else if data != nil {
			data = append(data, piece...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			// Each line has an end, the last one too.
			return nil, io.ErrUnexpectedEOF
		default:
			return data, err
		}
	}
}

func (f *reading) warn(format string, args ...any) {
	if len(f.saved.Warnings) >= maxWarnings {
		f.unsaid++
		return
	}
	f.saved.Warnings = append(f.saved.Warnings, fmt.Sprintf(format, args...))
}
