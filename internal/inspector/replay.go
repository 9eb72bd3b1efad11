package inspector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	loomv1 "loom/api/loom/v1"
	"loom/internal/decode"
	"loom/internal/replay"
)

const (
	// maxSent is how many messages a page may have sent at once: those of a
	// stream that is kept whole.
	maxSent = 1_000
	// maxDeadline bounds what a page may wait for; the Replayer gives up then.
	maxDeadline = 5 * time.Minute
	// appearTime is how long a call that went through the listener may take to
	// appear in the store after it ended.
	appearTime = 2 * time.Second
	appearRows = 2_000 // newest calls that are searched for it if changes were missed
)

// errCannotReplay is the answer of an inspector without a Replayer.
func errCannotReplay() error {
	return failed(http.StatusForbidden, "this inspector makes no calls")
}

func (s *Records) canReplay() bool { return s.opts.Replayer != nil && !s.opts.ReadOnly }

// replayBody is what a page posts to repeat a call.
type replayBody struct {
	Target     string            `json:"target"`   // route or direct
	Backend    string            `json:"backend"`  // for direct; empty: that of the call
	Metadata   []field           `json:"metadata"` // null: as recorded, without credentials
	Messages   []json.RawMessage `json:"messages"` // null: the recorded bytes
	DeadlineMs int64             `json:"deadlineMs"`
	Timing     string            `json:"timing"` // zero or recorded
}

// field is a header field as a page writes it; the value of a -bin name is
// base64.
type field struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// replayed is the answer to replay and compose.
type replayed struct {
	ID     string          `json:"id"`             // of the new call; empty if it was not recorded
	Note   string          `json:"note,omitempty"` // why it was not
	Diff   []decode.Change `json:"diff"`           // of the responses; null if there is nothing to compare with
	Status replayedStatus  `json:"status"`
}

type replayedStatus struct {
	Code    uint32 `json:"code"`
	Name    string `json:"name"`
	Message string `json:"message"`
}

// replay repeats a recorded call, as it was or edited.
func (s *Server) replay(w http.ResponseWriter, r *http.Request) error {
	if !s.canReplay() {
		return errCannotReplay()
	}
	var body replayBody
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	c, err := s.call(r.PathValue("id"))
	if err != nil {
		return err
	}
	q, err := s.replayRequest(r.Context(), c, &body)
	if err != nil {
		return err
	}
	out, again, err := s.send(w, r, q)
	if err != nil {
		return err
	}
	if again != nil {
		out.Diff = orEmpty(s.diff(r.Context(), c, again))
	}
	return answer(w, out)
}

func (s *Records) replayRequest(ctx context.Context, c *loomv1.Call, body *replayBody) (replay.Request, error) {
	q := replay.Request{
		ReplayOf: c.GetId(), Backend: c.GetBackend(), Path: c.GetPath(), Authority: c.GetAuthority(),
	}
	if body.Backend != "" {
		q.Backend = body.Backend
	}
	var err error
	if q.Target, err = target(body.Target, q.Backend); err != nil {
		return q, err
	}
	if q.Deadline, err = deadline(body.DeadlineMs); err != nil {
		return q, err
	}
	if q.Metadata, err = sentMetadata(c.GetRequestHeaders(), body.Metadata); err != nil {
		return q, err
	}
	if body.Messages != nil {
		q.Messages, err = s.encode(ctx, q.Backend, q.Path, body.Messages)
	} else {
		q.Messages, err = s.recordedMessages(c)
	}
	if err != nil {
		return q, err
	}
	switch body.Timing {
	case "", "zero":
	case "recorded":
		q.Delays = recordedDelays(c)
	default:
		return q, failed(http.StatusBadRequest, "the timing is zero or recorded")
	}
	return q, nil
}

func target(text, backend string) (replay.Target, error) {
	switch text {
	case "", "route":
		return replay.ViaRoute, nil
	case "direct":
		if backend == "" {
			return 0, failed(http.StatusBadRequest, "the call went to no backend; say which")
		}
		return replay.Direct, nil
	}
	return 0, failed(http.StatusBadRequest, "the target is route or direct")
}

func deadline(ms int64) (time.Duration, error) {
	d := time.Duration(ms) * time.Millisecond
	if ms < 0 || ms > maxDeadline.Milliseconds() {
		return 0, failed(http.StatusBadRequest, "the deadline is from 0 (none) to %d ms", maxDeadline.Milliseconds())
	}
	return d, nil
}

// sentMetadata is what the page wrote or, if it wrote nothing, what was
// recorded but for credentials: who repeats a call gives those again.
func sentMetadata(recorded []*loomv1.Metadata, written []field) ([]*loomv1.Metadata, error) {
	var out []*loomv1.Metadata
	names := map[string]bool{}
	for _, m := range recorded {
		names[m.GetName()] = true
		// The content-type says which codec the backend is to use.
		if m.GetName() == "content-type" || written == nil && m.GetName() != mark && !secret(m.GetName()) && !m.GetRedacted() {
			out = append(out, m)
		}
	}
	for i, f := range written {
		name := strings.ToLower(f.Name)
		switch {
		case name == mark:
		case !replay.Reserved(name):
			out = append(out, &loomv1.Metadata{Name: name, Content: &loomv1.Metadata_Text{Text: f.Text}})
		case !names[name]:
			// One that the call had comes from its record; one that is new
			// was meant to do something.
			return nil, &statusError{status: http.StatusUnprocessableEntity, message: "loom sets some of this metadata itself", fields: []FieldError{{
				Path: "/metadata/" + strconv.Itoa(i) + "/name", Message: "loom sets " + name + " itself; leave it out",
			}}}
		}
	}
	return out, nil
}

// recordedMessages returns the bytes of the request, or why they are not
// whole.
func (s *Records) recordedMessages(c *loomv1.Call) ([][]byte, error) {
	if problem := replayProblem(c); problem != "" {
		return nil, failed(http.StatusConflict, "the recorded call cannot be sent again: %s", problem)
	}
	encoding := encodingOf(c, loomv1.Direction_DIRECTION_REQUEST)
	var out [][]byte
	for _, m := range c.GetMessages() {
		if m.GetDirection() != loomv1.Direction_DIRECTION_REQUEST {
			continue
		}
		data, err := s.opts.Decoder.Plain(encoding, m)
		if err != nil {
			return nil, failed(http.StatusConflict, "the recorded call cannot be sent again: %v", err)
		}
		out = append(out, data)
	}
	return out, nil
}

// replayProblem says why the recorded bytes of a request cannot be sent again;
// empty if they can.
func replayProblem(c *loomv1.Call) string {
	switch {
	case c.GetOmission().GetBodiesOff():
		return "only metadata was recorded"
	case c.GetRequest().GetUnrecorded() > 0:
		return fmt.Sprintf("%d messages of the request are not in the record", c.GetRequest().GetUnrecorded())
	}
	have := uint64(0)
	for _, m := range c.GetMessages() {
		switch {
		case m.GetDirection() != loomv1.Direction_DIRECTION_REQUEST:
			continue
		case m.GetWithheld() != "":
			return fmt.Sprintf("message %d was not recorded: %s", m.GetSequence(), m.GetWithheld())
		case m.GetRedacted():
			return fmt.Sprintf("fields were taken out of message %d before it was recorded", m.GetSequence())
		case m.GetTruncated() || m.GetSize() != uint64(len(m.GetData())):
			return fmt.Sprintf("only %d of the %d bytes of message %d were recorded", len(m.GetData()), m.GetSize(), m.GetSequence())
		}
		have++
	}
	if have < c.GetRequest().GetMessages() {
		return "messages of the request are missing"
	}
	return ""
}

// recordedDelays is what the caller waited before each message.
func recordedDelays(c *loomv1.Call) []time.Duration {
	var out []time.Duration
	var last time.Duration
	for _, m := range c.GetMessages() {
		if m.GetDirection() == loomv1.Direction_DIRECTION_REQUEST {
			at := m.GetFirstByte().AsDuration()
			out = append(out, max(0, min(at-last, maxDeadline)))
			last = at
		}
	}
	return out
}

// encode makes bytes of the messages that a page wrote. The error names each
// field that is wrong.
func (s *Records) encode(ctx context.Context, backend, path string, messages []json.RawMessage) ([][]byte, error) {
	wrong, out, err := s.check(ctx, backend, path, messages)
	if err != nil {
		return nil, err
	}
	if len(wrong) == 0 {
		return out, nil
	}
	f := &statusError{status: http.StatusUnprocessableEntity, message: "some messages do not fit the method's types"}
	for _, w := range wrong {
		f.fields = append(f.fields, FieldError{Path: "/messages/" + strconv.Itoa(w.Message) + w.Path, Message: w.Text})
	}
	return nil, f
}

// messageError is what is wrong with one field of one message.
type messageError struct {
	Message int    `json:"message"` // counted from 0
	Path    string `json:"path"`
	Text    string `json:"text"`
}

func (s *Records) check(ctx context.Context, backend, path string, messages []json.RawMessage) (wrong []messageError, out [][]byte, err error) {
	if len(messages) > maxSent {
		return nil, nil, failed(http.StatusBadRequest, "%d messages are more than the %d that can be sent at once", len(messages), maxSent)
	}
	ctx, stop := context.WithTimeout(ctx, schemaWait)
	defer stop()
	m, err := s.opts.Schemas.Method(ctx, backend, path)
	if err != nil {
		return nil, nil, failed(http.StatusConflict, "the messages cannot be encoded, because the method's types are not known: %v", err)
	}
	for i, js := range messages {
		data, err := s.opts.Decoder.Encode(m.Desc.Input(), m.Types, js)
		var fields *decode.EncodeError
		switch {
		case errors.As(err, &fields):
			for _, f := range fields.Fields {
				wrong = append(wrong, messageError{i, f.Path, f.Message})
			}
		case err != nil:
			wrong = append(wrong, messageError{i, "", err.Error()})
		}
		out = append(out, data)
	}
	return wrong, out, nil
}

// validate checks messages while a person writes them.
func (s *Server) validate(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Backend  string            `json:"backend"`
		Path     string            `json:"path"`
		Messages []json.RawMessage `json:"messages"`
	}
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	wrong, _, err := s.check(r.Context(), body.Backend, body.Path, body.Messages)
	if err != nil {
		return err
	}
	return answer(w, struct {
		Errors []messageError `json:"errors"`
	}{orEmpty(wrong)})
}
