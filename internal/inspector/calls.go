package inspector

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
	"loom/internal/filter"
)

const (
	maxRows = 10_000          // in one answer; what a page keeps
	judging = 2 * time.Second // for a filter that has to decode bodies
)

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
	rows, partial, err := s.selected(r.Context(), r.URL.Query().Get("q"), limit)
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
	rows, partial, err := s.selected(r.Context(), r.URL.Query().Get("q"), maxRows)
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

// selected returns the newest rows that the filter wants, oldest first, and
// whether time was up before all were judged.
func (s *Server) selected(ctx context.Context, q string, limit int) (rows []*loomv1.CallSummary, partial bool, err error) {
	if strings.TrimSpace(q) == "" {
		return s.opts.Store.Summaries(limit), false, nil
	}
	f, err := filter.Parse(q)
	if err != nil {
		return nil, false, failed(http.StatusBadRequest, "%v", err)
	}
	if needs := f.Needs(); needs.Body || needs.Metadata {
		select {
		case s.matches <- struct{}{}:
			defer func() { <-s.matches }()
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
	until, stop := context.WithTimeout(ctx, judging)
	defer stop()
	for _, row := range slices.Backward(s.opts.Store.Summaries(0)) {
		if len(rows) == limit {
			break
		}
		if until.Err() != nil {
			partial = true
			break
		}
		if f.Match(row, s.extra(until, row)) {
			rows = append(rows, row)
		}
	}
	slices.Reverse(rows)
	return rows, partial, ctx.Err()
}

// extra fetches what a filter asks for beyond the row, once.
func (s *Server) extra(ctx context.Context, row *loomv1.CallSummary) filter.Extra {
	var call *loomv1.Call
	fetch := func() *loomv1.Call {
		if call == nil {
			if call, _ = s.call(row.GetId()); call == nil {
				call = &loomv1.Call{} // evicted meanwhile
			}
		}
		return call
	}
	var body string
	var decoded bool
	return filter.Extra{
		Metadata: func(name string) []string { return metadataValues(fetch(), name) },
		Body: func() string {
			if !decoded {
				decoded, body = true, s.bodyText(ctx, fetch())
			}
			return body
		},
	}
}

// call returns the record of a call, or an error that says where it is.
func (s *Server) call(text string) (*loomv1.Call, error) {
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

func metadataValues(c *loomv1.Call, name string) []string {
	var out []string
	for _, block := range [][]*loomv1.Metadata{c.GetRequestHeaders(), c.GetResponseHeaders(), c.GetTrailers()} {
		for _, m := range block {
			if m.GetName() == name && !m.GetRedacted() {
				out = append(out, metadataText(m))
			}
		}
	}
	return out
}

// bodyText is the JSON of all messages of a call, a line each.
func (s *Server) bodyText(ctx context.Context, c *loomv1.Call) string {
	var out strings.Builder
	known := s.known(ctx, c)
	for _, m := range c.GetMessages() {
		if ctx.Err() != nil {
			break
		}
		js := s.opts.Decoder.Message(known.method, m.GetDirection(), encodingOf(c, m.GetDirection()), m).JSON
		out.Write(plainJSON(js))
		out.WriteByte('\n')
	}
	return out.String()
}

// plainJSON undoes the escapes that only HTML needs, so that a search for <
// finds one.
func plainJSON(js json.RawMessage) []byte {
	if !strings.Contains(string(js), `\u00`) {
		return js
	}
	return []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(js)))
}
