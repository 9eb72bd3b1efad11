package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/protojson"

	loomv1 "loom/api/loom/v1"
)

const (
	// sessionBytes is how many bytes of messages a call has in a session file.
	// A line is read into memory whole, and decoded beside that.
	sessionBytes = 8 << 20
	// sessionLine is how long a line of a session file may be: such a call, a
	// third longer in base64, with its metadata. A longer one is passed over.
	sessionLine = 16 << 20
)

// LoadSession adds the calls of the session files, the oldest first. What
// cannot be read is said in the log and passed over. It returns how many
// calls there were.
func (s *Store) LoadSession(o SessionOptions) int {
	read := 0
	for i := o.Files - 1; i >= 0; i-- {
		n, err := s.loadFile(o.numbered(i))
		read += n
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			o.Log.Warn("calls of an earlier session are missing", zap.String("file", o.numbered(i)), zap.Error(err))
		}
	}
	return read
}

func (s *Store) loadFile(path string) (read int, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("look for the session file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("it is no regular file: it might have no end")
	}
	f, err := os.Open(path) //nolint:gosec // the operator chose the folder, and the name is checked
	if err != nil {
		return 0, fmt.Errorf("open the session file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return s.loadLines(bufio.NewReaderSize(f, 64<<10))
}

// loadLines adds the calls of r, a line each. Its error tells of lines that
// were passed over.
func (s *Store) loadLines(r *bufio.Reader) (read int, err error) {
	wrong, first := 0, error(nil)
	var line []byte
	for number, end := 1, false; !end; number++ {
		line, err = readLine(r, line[:0])
		if end = errors.Is(err, io.EOF); end {
			err = nil
		}
		blank := len(line) == 0 && err == nil
		if err == nil && !blank {
			err = s.loadLine(line)
		}
		switch {
		case blank:
		case err == nil:
			read++
		case errors.Is(err, errRead):
			return read, err
		default:
			if wrong++; first == nil {
				first = fmt.Errorf("line %d: %w", number, err)
			}
		}
	}
	if wrong > 0 {
		return read, fmt.Errorf("%d lines passed over; the first: %w", wrong, first)
	}
	return read, nil
}

func (s *Store) loadLine(line []byte) error {
	c := new(loomv1.Call)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(line, c); err != nil {
		return fmt.Errorf("it is not the record of a call: %w", err)
	}
	if id, err := ParseID(c.GetId()); err == nil && id.Generation == s.opts.Generation {
		return fmt.Errorf("call %s has an id that this process gives itself", c.GetId())
	}
	return s.Add(c)
}

var (
	errRead    = errors.New("read the session file")
	errTooLong = fmt.Errorf("it has more than %d bytes", sessionLine)
)

// readLine reads the next line into line, without its end. One that is too
// long is read past.
func readLine(r *bufio.Reader, line []byte) ([]byte, error) {
	tooLong := false
	for {
		part, err := r.ReadSlice('\n')
		if tooLong = tooLong || len(line)+len(part) > sessionLine; !tooLong {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return line, fmt.Errorf("%w: %w", errRead, err)
		case tooLong:
			return line, errTooLong
		case err == nil:
			return line[:len(line)-1], nil
		default:
			return line, err
		}
	}
}
