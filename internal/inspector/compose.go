package inspector

import (
	"encoding/json"
	"net/http"
	"strings"

	"loom/internal/replay"
)

// compose makes a call that was never recorded.
func (s *Server) compose(w http.ResponseWriter, r *http.Request) error {
	if !s.canReplay() {
		return errCannotReplay()
	}
	var body struct {
		Backend    string            `json:"backend"`
		Method     string            `json:"method"` // as in :path
		Authority  string            `json:"authority"`
		Target     string            `json:"target"`
		Metadata   []field           `json:"metadata"`
		Messages   []json.RawMessage `json:"messages"`
		DeadlineMs int64             `json:"deadlineMs"`
	}
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	if !strings.HasPrefix(body.Method, "/") {
		return failed(http.StatusBadRequest, "the method is written as /package.Service/Method")
	}
	q := replay.Request{Backend: body.Backend, Path: body.Method, Authority: body.Authority}
	var err error
	if q.Target, err = target(body.Target, q.Backend); err != nil {
		return err
	}
	if q.Deadline, err = deadline(body.DeadlineMs); err != nil {
		return err
	}
	if q.Metadata, err = sentMetadata(nil, body.Metadata); err != nil {
		return err
	}
	if q.Messages, err = s.encode(r.Context(), q.Backend, q.Path, body.Messages); err != nil {
		return err
	}
	out, _, err := s.send(w, r, q)
	if err != nil {
		return err
	}
	return answer(w, out)
}
