package inspector

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	loomv1 "loom/api/loom/v1"
	"loom/internal/decode"
)

// maxDrift bounds the unknown fields that are listed for a call.
const maxDrift = 50

// detailView is what the page shows of a call beside its record.
type detailView struct {
	Verdict       string                `json:"verdict"`
	Phases        []phase               `json:"phases"`
	Request       sideView              `json:"request"`
	Response      sideView              `json:"response"`
	Source        string                `json:"source"`
	SchemaProblem string                `json:"schemaProblem,omitempty"` // why there are no descriptors
	StatusDetails json.RawMessage       `json:"statusDetails"`
	StatusError   string                `json:"statusError,omitempty"` // what of the details could not be decoded
	Drift         []decode.UnknownField `json:"drift"`
	SchemaChange  string                `json:"schemaChange"`
	Metadata      metadataBlocks        `json:"metadata"`
	Replayable    bool                  `json:"replayable"`
	ReplayProblem string                `json:"replayProblem"`
	Diff          []decode.Change       `json:"diff"` // against the call that this one repeats; null if it repeats none
}

// sideView is one direction of a call.
type sideView struct {
	Messages uint64   `json:"messages"`
	First    *decoded `json:"first"`
}

type metadataBlocks struct {
	Request  []metadataView `json:"request"`
	Response []metadataView `json:"response"`
	Trailers []metadataView `json:"trailers"`
}

// detail answers with all of a call but the bytes of its messages.
func (s *Server) detail(w http.ResponseWriter, r *http.Request) error {
	c, err := s.call(r.PathValue("id"))
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(r.Context(), decodingTime)
	defer stop()
	view := s.view(ctx, c)
	for _, m := range c.GetMessages() {
		m.Data = nil
	}
	record, err := protojson.Marshal(c)
	if err != nil {
		return fmt.Errorf("write the record as JSON: %w", err)
	}
	return answer(w, struct {
		Call json.RawMessage `json:"call"`
		View *detailView     `json:"view"`
	}{record, view})
}

func (s *Server) view(ctx context.Context, c *loomv1.Call) *detailView {
	d := s.decoding(ctx, c, false)
	v := &detailView{
		Verdict:       verdict(c),
		Phases:        orEmpty(phases(c)),
		Request:       sideView{c.GetRequest().GetMessages(), d.first(loomv1.Direction_DIRECTION_REQUEST)},
		Response:      sideView{c.GetResponse().GetMessages(), d.first(loomv1.Direction_DIRECTION_RESPONSE)},
		Source:        decode.Schemaless.String(),
		SchemaProblem: d.known.problem,
		Drift:         []decode.UnknownField{},
		SchemaChange:  s.schemaChange(c),
		Metadata: metadataBlocks{
			metadataViews(c.GetRequestHeaders()), metadataViews(c.GetResponseHeaders()), metadataViews(c.GetTrailers()),
		},
	}
	v.ReplayProblem = replayProblem(c)
	v.Replayable = v.ReplayProblem == "" && s.canReplay()
	if before, err := s.call(c.GetReplayOf()); err == nil && c.GetState() == loomv1.CallState_CALL_STATE_ENDED {
		v.Diff = orEmpty(s.diff(ctx, before, c))
	}
	if d.known.method != nil {
		v.Source = d.known.method.Source.String()
	}
	if details := c.GetStatus().GetDetails(); len(details) > 0 {
		v.StatusDetails, v.StatusError = s.opts.Decoder.Status(details, s.types(c, d.known))
	}
	for _, side := range []*decoded{v.Request.First, v.Response.First} {
		if side != nil {
			v.Drift = append(v.Drift, side.Unknown...)
		}
	}
	v.Drift = v.Drift[:min(len(v.Drift), maxDrift)]
	return v
}

// schemaChange says when the descriptors of the call's method last changed;
// empty if they never did.
func (s *Server) schemaChange(c *loomv1.Call) string {
	var at time.Time
	for _, change := range s.opts.Schemas.Changes() {
		if change.Backend == c.GetBackend() && change.Method == c.GetPath() && change.Time.After(at) {
			at = change.Time
		}
	}
	if at.IsZero() {
		return ""
	}
	return "schema changed at " + at.Format("15:04")
}
