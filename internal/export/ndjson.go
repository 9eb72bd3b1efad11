package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"google.golang.org/protobuf/encoding/protojson"

	loomv1 "loom/api/loom/v1"
)

// NDJSON writes each call as one line of protojson, as session files have
// them.
func NDJSON(w io.Writer, calls iter.Seq[*loomv1.Call]) error {
	for c := range calls {
		line, err := callJSON(c)
		if err != nil {
			return err
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("write call %s: %w", c.GetId(), err)
		}
	}
	return nil
}

// callJSON returns a call as protojson without the blanks that protojson puts
// in by chance, so that files can be compared and searched.
func callJSON(c *loomv1.Call) ([]byte, error) {
	data, err := protojson.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write call %s: %w", c.GetId(), err)
	}
	var line bytes.Buffer
	line.Grow(len(data) + 1)
	if err := json.Compact(&line, data); err != nil {
		return nil, fmt.Errorf("write call %s: %w", c.GetId(), err)
	}
	return line.Bytes(), nil
}
