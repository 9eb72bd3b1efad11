package inspector

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	loomv1 "loom/api/loom/v1"
	"loom/internal/filter"
)

const (
	judging  = 2 * time.Second // for a filter that has to decode bodies
	maxBytes = 4 << 20         // of a call's JSON that a filter searches, about
)

// Select returns the newest rows that a filter wants, oldest first, and
// whether time was up before all were judged.
func (s *Records) Select(ctx context.Context, q string, limit int) (rows []*loomv1.CallSummary, partial bool, err error) {
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
	j := &judge{records: s, ctx: until, known: make(map[[2]string]known)}
	for _, row := range slices.Backward(s.opts.Store.Summaries(0)) {
		if len(rows) == limit {
			break
		}
		if until.Err() != nil {
			partial = true
			break
		}
		if f.Match(row, j.extra(row)) {
			rows = append(rows, row)
		}
	}
	slices.Reverse(rows)
	return rows, partial, ctx.Err()
}

// judge gives a filter what it asks for. It lives as long as one request, and
// one goroutine uses it.
type judge struct {
	records *Records
	ctx     context.Context
	known   map[[2]string]known // by backend and path: a backend that hangs is waited for once
}

// extra fetches what a filter asks for beyond the row, once.
func (j *judge) extra(row *loomv1.CallSummary) filter.Extra {
	var call *loomv1.Call
	fetch := func() *loomv1.Call {
		if call == nil {
			if call, _ = j.records.call(row.GetId()); call == nil {
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
				decoded, body = true, j.body(fetch())
			}
			return body
		},
	}
}

// body is the JSON of the messages of a call, a line each.
func (j *judge) body(c *loomv1.Call) string {
	key := [2]string{c.GetBackend(), c.GetPath()}
	k, ok := j.known[key]
	if !ok {
		k = j.records.known(j.ctx, c)
		j.known[key] = k
	}
	var out strings.Builder
	for _, m := range c.GetMessages() {
		if j.ctx.Err() != nil || out.Len() > maxBytes {
			break
		}
		js := j.records.opts.Decoder.Message(k.method, m.GetDirection(), encodingOf(c, m.GetDirection()), m).JSON
		out.Write(plainJSON(js))
		out.WriteByte('\n')
	}
	return out.String()
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

// plainJSON undoes the escapes that only HTML needs, so that a search for <
// finds one.
func plainJSON(js json.RawMessage) []byte {
	if !strings.Contains(string(js), `\u00`) {
		return js
	}
	return []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(js)))
}
