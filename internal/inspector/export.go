package inspector

import (
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/descriptorpb"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
	"loom/internal/export"
)

// takeTime is how long a reader may take for each part of an export.
const takeTime = 30 * time.Second

// export answers with the selected calls as a file, redacted as they are
// stored. The selection is a list of ids or a filter; all without either.
func (s *Server) export(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	var ids []string
	if query.Has("ids") {
		ids = strings.Split(query.Get("ids"), ",")
		for _, id := range ids {
			if _, err := capture.ParseID(id); err != nil {
				return failed(http.StatusBadRequest, "%v", err)
			}
		}
	} else {
		rows, partial, err := s.Select(r.Context(), query.Get("q"), maxRows)
		if err != nil {
			return err
		}
		if partial {
			return failed(http.StatusConflict, "the filter takes too long to judge all calls; narrow it by a term that is not body:")
		}
		for _, row := range rows {
			ids = append(ids, row.GetId())
		}
	}
	name := "loom-" + time.Now().UTC().Format("20060102-150405")
	var write func(io.Writer) error
	switch query.Get("format") {
	case "ndjson":
		attach(w, "application/x-ndjson", name+".ndjson")
		write = func(to io.Writer) error { return export.NDJSON(to, s.whole(ids)) }
	case "har":
		attach(w, "application/json", name+".har")
		write = func(to io.Writer) error { return export.HAR(to, s.whole(ids)) }
	case "loom":
		attach(w, "application/octet-stream", name+".loom")
		write = func(to io.Writer) error { return export.WriteLoom(to, s.whole(ids), s.descriptors(ids)) }
	default:
		return failed(http.StatusBadRequest, "the format is ndjson, har or loom")
	}
	out := http.NewResponseController(w)
	if err := write(&patient{w: w, out: out}); err != nil {
		s.opts.Log.Warn("export broke off", zap.Error(err))
		// The answer has begun. Without its end the reader knows that it is
		// not whole.
		return errors.Join(out.SetWriteDeadline(time.Unix(1, 0)), out.Flush())
	}
	return nil
}

// whole yields the records of those that are still kept.
func (s *Server) whole(ids []string) iter.Seq[*loomv1.Call] {
	return func(yield func(*loomv1.Call) bool) {
		for _, id := range ids {
			if c, err := s.call(id); err == nil && !yield(c) {
				return
			}
		}
	}
}

// descriptors returns what is known of the backends that the calls went to. A
// backend of which nothing is known has none.
func (s *Server) descriptors(ids []string) map[string]*descriptorpb.FileDescriptorSet {
	out := map[string]*descriptorpb.FileDescriptorSet{}
	for c := range s.whole(ids) {
		name := c.GetBackend()
		if _, done := out[name]; name == "" || done {
			continue
		}
		out[name] = nil
		if set, err := s.opts.Schemas.FileSet(name); err == nil {
			out[name] = set
		}
	}
	for name, set := range out {
		if len(set.GetFile()) == 0 {
			delete(out, name)
		}
	}
	return out
}

// patient gives the reader time for each write, however long the whole takes.
type patient struct {
	w   io.Writer
	out *http.ResponseController
}

// Write implements io.Writer.
func (p *patient) Write(data []byte) (int, error) {
	if err := p.out.SetWriteDeadline(time.Now().Add(takeTime)); err != nil {
		return 0, err
	}
	return p.w.Write(data)
}
