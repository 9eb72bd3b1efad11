package inspector

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
	"loom/internal/decode"
	"loom/internal/replay"
)

// mark is metadata by which a call that went through the listener is found
// among the recorded ones. Its value is a name that nobody else knows.
const mark = "loom-inspector-call"

// send makes a call for a page, which waits as long as the call lasts.
func (s *Server) send(w http.ResponseWriter, r *http.Request, q replay.Request) (*replayed, *loomv1.Call, error) {
	out := http.NewResponseController(w)
	if err := errors.Join(out.SetReadDeadline(time.Time{}), out.SetWriteDeadline(time.Now().Add(maxDeadline+answerTime))); err != nil {
		return nil, nil, fmt.Errorf("let the request last: %w", err)
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stop := context.AfterFunc(s.ending, cancel)
	defer stop()
	return s.perform(ctx, q)
}

// perform makes a call and returns what became of it, with its record if there
// is one.
func (s *Records) perform(ctx context.Context, q replay.Request) (*replayed, *loomv1.Call, error) {
	ctx, cancel := context.WithTimeout(ctx, maxDeadline)
	defer cancel()
	name := rand.Text()
	var sub *capture.Subscription
	if q.Target == replay.ViaRoute {
		q.Metadata = append(q.Metadata, &loomv1.Metadata{Name: mark, Content: &loomv1.Metadata_Text{Text: name}})
		var err error
		if sub, err = s.opts.Store.Subscribe(0); err != nil {
			return nil, nil, failed(http.StatusServiceUnavailable, "%v", err)
		}
		defer sub.Close()
	}
	a, err := s.opts.Replayer.Do(ctx, q)
	switch {
	case errors.Is(err, replay.ErrBusy):
		return nil, nil, failed(http.StatusTooManyRequests, "%v", err)
	case err != nil && a.Started.IsZero():
		return nil, nil, failed(http.StatusBadGateway, "%v", err)
	case err != nil:
		return nil, nil, failed(http.StatusGatewayTimeout, "%v", err)
	}
	made := &replayed{Status: replayedStatus{uint32(a.Code), codeName(uint32(a.Code)), a.Message}}
	var c *loomv1.Call
	if q.Target == replay.Direct {
		c, made.Note = s.keep(&a, q)
	} else {
		c, made.Note = s.appeared(ctx, sub, q, name)
	}
	made.ID = c.GetId()
	return made, c, nil
}

// keep records a call that no listener saw, or says why it cannot.
func (s *Records) keep(a *replay.Answer, q replay.Request) (c *loomv1.Call, note string) {
	c = a.Record(s.opts.Store.NextID().String(), q)
	if s.opts.Redact != nil {
		s.opts.Redact(c)
	}
	if err := s.opts.Store.Add(c); err != nil {
		return nil, "The call was made, but not recorded: " + err.Error() + "."
	}
	return c, ""
}

// appeared waits until the call that carries the mark is recorded and ended,
// or says that it is not.
func (s *Records) appeared(ctx context.Context, sub *capture.Subscription, q replay.Request, name string) (c *loomv1.Call, note string) {
	ctx, stop := context.WithTimeout(ctx, appearTime)
	defer stop()
	for {
		batch, err := sub.Next(ctx)
		rows := batch.Calls
		if err != nil || batch.Missed > 0 {
			// What no batch told of may be kept all the same.
			rows = s.opts.Store.Summaries(appearRows)
		}
		if c := s.find(rows, q, name); c != nil {
			return c, ""
		}
		if err != nil {
			return nil, "The call was made, but it is not among the recorded ones. Perhaps capture is off for its route."
		}
	}
}

func (s *Records) find(rows []*loomv1.CallSummary, q replay.Request, name string) *loomv1.Call {
	for _, row := range slices.Backward(rows) {
		if row.GetPath() != q.Path || row.GetReplayOf() != q.ReplayOf || row.GetState() != loomv1.CallState_CALL_STATE_ENDED {
			continue
		}
		if c, err := s.call(row.GetId()); err == nil && marked(c, name) {
			return c
		}
	}
	return nil
}

func marked(c *loomv1.Call, name string) bool {
	for _, m := range c.GetRequestHeaders() {
		if m.GetName() == mark && m.GetText() == name {
			return true
		}
	}
	return false
}

// diff compares the responses of two calls: the message if each has one, else
// the lists of messages.
func (s *Records) diff(ctx context.Context, before, after *loomv1.Call) []decode.Change {
	return decode.Diff(s.responses(ctx, before), s.responses(ctx, after))
}

func (s *Records) responses(ctx context.Context, c *loomv1.Call) json.RawMessage {
	d := s.decoding(ctx, c, false)
	list := []json.RawMessage{}
	for i, m := range c.GetMessages() {
		if m.GetDirection() != loomv1.Direction_DIRECTION_RESPONSE {
			continue
		}
		if js := d.at(i).JSON; js != nil {
			list = append(list, js)
		} else {
			list = append(list, json.RawMessage("null"))
		}
	}
	if len(list) == 1 && c.GetKind() != loomv1.StreamKind_STREAM_KIND_SERVER_STREAM {
		return list[0]
	}
	js, err := json.Marshal(list)
	if err != nil {
		return json.RawMessage("null")
	}
	return js
}
