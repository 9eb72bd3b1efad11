package export

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	loomv1 "loom/api/loom/v1"
)

// WriteLoom writes a saved capture: the calls, and what explains the messages
// of each backend.
func WriteLoom(w io.Writer, calls iter.Seq[*loomv1.Call], descriptors map[string]*descriptorpb.FileDescriptorSet) error {
	zip := gzip.NewWriter(w)
	lines := json.NewEncoder(zip)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(line{Loom: version, Saved: time.Now().UTC()}); err != nil {
		return fmt.Errorf("begin the saved capture: %w", err)
	}
	written := 0
	for c := range calls {
		data, err := callJSON(c)
		if err != nil {
			return err
		}
		if err := lines.Encode(line{Call: data}); err != nil {
			return fmt.Errorf("write call %s: %w", c.GetId(), err)
		}
		written++
	}
	for _, backend := range slices.Sorted(maps.Keys(descriptors)) {
		data, err := proto.Marshal(descriptors[backend])
		if err != nil {
			return fmt.Errorf("write the descriptors of backend %s: %w", backend, err)
		}
		if err := lines.Encode(line{Backend: backend, Descriptors: data}); err != nil {
			return fmt.Errorf("write the descriptors of backend %s: %w", backend, err)
		}
	}
	if err := lines.Encode(line{End: &end{Calls: written}}); err != nil {
		return fmt.Errorf("end the saved capture: %w", err)
	}
	if err := zip.Close(); err != nil {
		return fmt.Errorf("end the saved capture: %w", err)
	}
	return nil
}
