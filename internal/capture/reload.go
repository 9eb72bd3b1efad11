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

// sessionLine is how long a line of a session file may be: a call of 320
// messages of 256 KiB, with what JSON adds. A longer one is passed over.
const sessionLine = 128 << 20

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
	for number := 1; ; number++ {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = s.loadLine(line)
		}
		switch {
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
	if len(line) == 0 {
		return nil
	}
	c := new(loomv1.Call)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(line, c); err != nil {
		return fmt.Errorf("it is not the record of a call: %w", err)
	}
	return s.Add(c)
}

var (
	errRead    = errors.New("read the session file")
	errTooLong = fmt.Errorf("it has more than %d bytes", sessionLine)
)

// readLine returns the next line without its end. One that is too long is
// read past.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	tooLong := false
	for {
		part, err := r.ReadSlice('\n')
		if tooLong = tooLong || len(line)+len(part) > sessionLine; !tooLong {
			line = append(line, part...)
		} else {
			line = nil
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%w: %w", errRead, err)
		case tooLong:
			return nil, errTooLong
		case err == nil:
			return line[:len(line)-1], nil
		default:
			return line, err
		}
	}
}
