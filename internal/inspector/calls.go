package inspector

import (
	"net/http"
	"strconv"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
)

// maxRows is how many rows one answer has: what a page keeps.
const maxRows = 10_000

// listCalls answers with the newest rows, oldest first.
func (s *Server) listCalls(w http.ResponseWriter, r *http.Request) error {
	limit := maxRows
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return failed(http.StatusBadRequest, "limit is not a number above 0")
		}
		limit = min(n, maxRows)
	}
	// Before the rows: what changes in between comes twice rather than never.
	cursor := s.opts.Store.Cursor()
	rows, partial, err := s.Select(r.Context(), r.URL.Query().Get("q"), limit)
	if err != nil {
		return err
	}
	data := appendRows([]byte(`{"calls":`), rows)
	data = append(data, `,"cursor":`...)
	data = appendText(data, s.frameID(cursor))
	if partial {
		data = append(data, `,"partial":true`...)
	}
	answerBytes(w, http.StatusOK, append(data, '}'))
	return nil
}

// matchCalls answers with the ids of kept calls that a filter wants.
func (s *Server) matchCalls(w http.ResponseWriter, r *http.Request) error {
	rows, partial, err := s.Select(r.Context(), r.URL.Query().Get("q"), maxRows)
	if err != nil {
		return err
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.GetId()
	}
	return answer(w, struct {
		IDs     []string `json:"ids"`
		Partial bool     `json:"partial,omitempty"` // time was up; older calls were not judged
	}{ids, partial})
}

// call returns the record of a call, or an error that says where it is.
func (s *Records) call(text string) (*loomv1.Call, error) {
	id, err := capture.ParseID(text)
	if err != nil {
		return nil, failed(http.StatusBadRequest, "%v", err)
	}
	c, ok := s.opts.Store.Call(id)
	if !ok {
		return nil, failed(http.StatusNotFound, "call %s is not kept any more, or never was", text)
	}
	return c, nil
}
