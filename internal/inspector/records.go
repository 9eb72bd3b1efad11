package inspector

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
	"loom/internal/decode"
	"loom/internal/filter"
)

// Records answers what is asked of the recorded calls: the page asks, and so
// does the admin service. It is safe for concurrent use.
type Records struct {
	// Immutable.
	opts RecordsOptions

	matches chan struct{} // holds a token of a filter that decodes bodies
}

// RecordsOptions is what Records needs. Store, Decoder and Schemas are required.
type RecordsOptions struct {
	Store   *capture.Store
	Decoder *decode.Decoder
	Schemas Schemas
	// Replayer makes calls; nil: calls cannot be replayed or composed.
	Replayer Replayer
	// Redact takes out of a call made straight to a backend what must not be
	// stored, as capture does for those that pass a listener; nil: nothing.
	Redact func(*loomv1.Call)
	// ReadOnly is for saved captures: nothing can be cleared, replayed or
	// switched.
	ReadOnly bool
}

// NewRecords returns Records of a store.
func NewRecords(o RecordsOptions) *Records {
	return &Records{opts: o, matches: make(chan struct{}, 1)}
}

// HTTPStatus returns the status that an error of Records has on the page; 500
// if it says nothing of that.
func HTTPStatus(err error) int {
	if f, ok := errors.AsType[*statusError](err); ok {
		return f.status
	}
	return http.StatusInternalServerError
}

// Matcher judges rows by a filter. One goroutine uses it.
type Matcher struct {
	records *Records
	filter  *filter.Filter
}

// Matcher returns the judge of a filter. The error says where the text is none.
func (s *Records) Matcher(q string) (*Matcher, error) {
	f, err := filter.Parse(q)
	if err != nil {
		return nil, failed(http.StatusBadRequest, "%v", err)
	}
	return &Matcher{records: s, filter: f}, nil
}

// Match returns those of the rows that the filter wants. A filter that reads
// bodies is given some seconds for all of them; what it cannot judge by then is
// counted in unjudged.
func (m *Matcher) Match(ctx context.Context, rows []*loomv1.CallSummary) (wanted []*loomv1.CallSummary, unjudged int) {
	until, stop := context.WithTimeout(ctx, judging)
	defer stop()
	j := &judge{records: m.records, ctx: until, known: make(map[[2]string]known)}
	for i, row := range rows {
		if until.Err() != nil {
			return wanted, len(rows) - i
		}
		if m.filter.Match(row, j.extra(row)) {
			wanted = append(wanted, row)
		}
	}
	return wanted, 0
}

// Description is a call as a person would want to see it.
type Description struct {
	Call     *loomv1.Call
	Verdict  string // how it ended, in a sentence
	Source   string // of the descriptors
	Messages []Shown
	Details  json.RawMessage // of the status
}

// Shown is a decoded message.
type Shown struct {
	Message *loomv1.Message
	JSON    json.RawMessage // nil if it cannot be shown, or is too large
	Type    string          // empty if it is not known
	Problem string          // why JSON does not hold all of it
}

// Describe decodes the first messages of a call.
func (s *Records) Describe(ctx context.Context, id string) (*Description, error) {
	c, err := s.call(id)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, decodingTime)
	defer stop()
	d := s.decoding(ctx, c, true)
	d.room = answerJSONs
	out := &Description{Call: c, Verdict: verdict(c), Source: decode.Schemaless.String()}
	if d.known.method != nil {
		out.Source = d.known.method.Source.String()
	}
	if details := c.GetStatus().GetDetails(); len(details) > 0 {
		out.Details, _ = s.opts.Decoder.Status(details, s.types(c, d.known)) // what cannot be read is not shown
	}
	for i, m := range c.GetMessages() {
		if i == maxDecoded || ctx.Err() != nil {
			break
		}
		out.Messages = append(out.Messages, shown(m, d.at(i)))
	}
	return out, nil
}

func shown(m *loomv1.Message, v *decoded) Shown {
	out := Shown{Message: m, JSON: v.JSON, Type: v.Type, Problem: v.Error}
	switch {
	case v.Withheld != "":
		out.Problem = v.Withheld
	case v.Large:
		out.Problem = "too large to be shown here"
	case out.Problem == "" && v.Truncated:
		out.Problem = "only its beginning was recorded"
	}
	return out
}

// Repeat says how a recorded call is made again. The zero value sends it
// through the route, at once, with no deadline.
type Repeat struct {
	Direct         bool   // straight to Backend
	Backend        string // empty: that of the call
	Deadline       time.Duration
	RecordedTiming bool // wait before each message as long as the caller did
}

// Repeated is how it went.
type Repeated struct {
	ID      string // of the new call; empty if it was not recorded
	Note    string // why it was not
	Code    uint32
	Message string
	Changes []decode.Change // of the responses
}

// Repeat makes a recorded call again, without its credentials, and waits until
// it is over.
func (s *Records) Repeat(ctx context.Context, id string, how Repeat) (*Repeated, error) {
	if !s.canReplay() {
		return nil, failed(http.StatusForbidden, "inspector.replay is off: no calls are made")
	}
	c, err := s.call(id)
	if err != nil {
		return nil, err
	}
	// Less than a millisecond is not none.
	body := replayBody{Backend: how.Backend, DeadlineMs: (how.Deadline + time.Millisecond - 1).Milliseconds()}
	if how.Direct {
		body.Target = "direct"
	}
	if how.RecordedTiming {
		body.Timing = "recorded"
	}
	q, err := s.replayRequest(ctx, c, &body)
	if err != nil {
		return nil, err
	}
	made, again, err := s.perform(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &Repeated{ID: made.ID, Note: made.Note, Code: made.Status.Code, Message: made.Status.Message}
	if again != nil {
		out.Changes = s.diff(ctx, c, again)
	}
	return out, nil
}
