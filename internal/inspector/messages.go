package inspector

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
	"loom/internal/decode"
)

const (
	largeJSON    = 200 << 10 // bytes of JSON that come only when asked for: a tree of more is slow to draw
	previewText  = 200       // characters
	hexBytes     = 4 << 10   // of the start of a message
	maxDecoded   = 200       // messages in one answer
	answerJSONs  = 8 << 20   // bytes of JSON in one answer; the rest is left out as large
	fullJSONs    = 64 << 20  // the same, if large JSON was asked for
	decodingTime = 10 * time.Second
)

// decoded is a message as the page shows it. Times are microseconds since the
// start of the call.
type decoded struct {
	Direction   string                `json:"direction"`
	Seq         uint64                `json:"seq"`
	At          int64                 `json:"at"`
	Delta       int64                 `json:"delta"` // since the recorded message before, whichever way it went
	Size        uint64                `json:"size"`
	DecodedSize int                   `json:"decodedSize"`
	Encoding    string                `json:"encoding,omitempty"`
	Compressed  bool                  `json:"compressed,omitempty"`
	Truncated   bool                  `json:"truncated,omitempty"`
	Redacted    bool                  `json:"redacted,omitempty"`
	Withheld    string                `json:"withheld,omitempty"`
	JSON        json.RawMessage       `json:"json"`
	Large       bool                  `json:"large,omitempty"` // JSON was left out for its size
	Preview     string                `json:"preview"`
	Source      string                `json:"source"`
	Type        string                `json:"type,omitempty"`
	Error       string                `json:"error,omitempty"`
	Unknown     []decode.UnknownField `json:"unknown,omitempty"`
	Hex         string                `json:"hex"`
}

// decoding decodes messages of one call for one answer. One goroutine uses it.
type decoding struct {
	records *Records
	call    *loomv1.Call
	known   known
	full    bool // JSON of any size
	room    int  // bytes of JSON that still fit in the answer
	drift   bool // the call was flagged
}

func (s *Records) decoding(ctx context.Context, c *loomv1.Call, full bool) *decoding {
	d := &decoding{records: s, call: c, known: s.known(ctx, c), full: full, room: answerJSONs}
	if full {
		d.room = fullJSONs
	}
	return d
}

// at decodes the i-th recorded message.
func (d *decoding) at(i int) *decoded {
	m := d.call.GetMessages()[i]
	res := d.records.opts.Decoder.Message(d.known.method, m.GetDirection(), encodingOf(d.call, m.GetDirection()), m)
	out := &decoded{
		Direction: directionName(m.GetDirection()), Seq: m.GetSequence(),
		At: m.GetFirstByte().AsDuration().Microseconds(), Size: m.GetSize(), DecodedSize: res.Decoded,
		Encoding: res.Encoding, Compressed: m.GetCompressed(), Truncated: res.Truncated || m.GetTruncated(),
		Redacted: m.GetRedacted(), Withheld: m.GetWithheld(), Preview: preview(res.JSON),
		Source: res.Source.String(), Type: res.Type, Error: res.Err, Unknown: res.Unknown,
		Hex: hex.EncodeToString(m.GetData()[:min(len(m.GetData()), hexBytes)]),
	}
	if len(res.Unknown) > 0 {
		d.flag()
	}
	if i > 0 {
		out.Delta = out.At - d.call.GetMessages()[i-1].GetFirstByte().AsDuration().Microseconds()
	}
	if n := len(res.JSON); n > d.room || n > largeJSON && !d.full {
		out.Large = true
	} else {
		out.JSON = res.JSON
		d.room -= n
	}
	return out
}

// flag has the row of the call say that its messages do not fit the schema.
func (d *decoding) flag() {
	if d.drift {
		return
	}
	d.drift = true
	if id, err := capture.ParseID(d.call.GetId()); err == nil {
		d.records.opts.Store.Flag(id)
	}
}

// first decodes the first message that went one way; nil if there is none.
func (d *decoding) first(way loomv1.Direction) *decoded {
	for i, m := range d.call.GetMessages() {
		if m.GetDirection() == way {
			return d.at(i)
		}
	}
	return nil
}

func preview(js json.RawMessage) string {
	// One character is at most 12 bytes of JSON.
	if most := previewText * 12; len(js) > most {
		js = js[:most]
	}
	return shorten(string(plainJSON(js)), previewText)
}

func directionName(d loomv1.Direction) string {
	if d == loomv1.Direction_DIRECTION_REQUEST {
		return "request"
	}
	return "response"
}

// direction reads what directionName writes; empty means both.
func direction(text string) (loomv1.Direction, error) {
	switch text {
	case "":
		return loomv1.Direction_DIRECTION_UNSPECIFIED, nil
	case "request":
		return loomv1.Direction_DIRECTION_REQUEST, nil
	case "response":
		return loomv1.Direction_DIRECTION_RESPONSE, nil
	}
	return 0, failed(http.StatusBadRequest, "the direction is request or response")
}

// messagesQuery says which messages of a call are wanted.
type messagesQuery struct {
	direction loomv1.Direction // unspecified: both
	from      uint64           // sequence
	count     int
	full      bool
}

func readMessagesQuery(r *http.Request) (q messagesQuery, err error) {
	values := r.URL.Query()
	if q.direction, err = direction(values.Get("dir")); err != nil {
		return q, err
	}
	q.count, q.full = maxDecoded, values.Get("full") == "1"
	if text := values.Get("from"); text != "" {
		if q.from, err = strconv.ParseUint(text, 10, 64); err != nil {
			return q, failed(http.StatusBadRequest, "from is not the number of a message")
		}
	}
	if text := values.Get("count"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return q, failed(http.StatusBadRequest, "count is not a number above 0")
		}
		q.count = min(n, maxDecoded)
	}
	return q, nil
}

// messages answers with decoded messages in the order in which they came.
func (s *Server) messages(w http.ResponseWriter, r *http.Request) error {
	q, err := readMessagesQuery(r)
	if err != nil {
		return err
	}
	c, err := s.call(r.PathValue("id"))
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(r.Context(), decodingTime)
	defer stop()
	d := s.decoding(ctx, c, q.full)
	out := []*decoded{}
	for i, m := range c.GetMessages() {
		if q.direction != 0 && m.GetDirection() != q.direction || m.GetSequence() < q.from {
			continue
		}
		if len(out) == q.count {
			break
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("decode the messages: %w", err)
		}
		out = append(out, d.at(i))
	}
	return answer(w, struct {
		Messages []*decoded `json:"messages"`
	}{out})
}

// raw answers with the bytes of one message as they are stored, as a download
// that no browser would render.
func (s *Server) raw(w http.ResponseWriter, r *http.Request) error {
	way, err := direction(r.PathValue("dir"))
	if err != nil {
		return err
	}
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil {
		return failed(http.StatusBadRequest, "this is not the number of a message")
	}
	c, err := s.call(r.PathValue("id"))
	if err != nil {
		return err
	}
	for _, m := range c.GetMessages() {
		if m.GetDirection() != way || m.GetSequence() != seq {
			continue
		}
		if m.GetWithheld() != "" {
			return failed(http.StatusNotFound, "the bytes of this message were not recorded: %s", m.GetWithheld())
		}
		attach(w, "application/octet-stream", fmt.Sprintf("%s-%s-%d.bin", c.GetId(), directionName(way), seq))
		_, _ = w.Write(m.GetData()) //nolint:gosec // a download under nosniff, which no browser renders; the reader may be gone
		return nil
	}
	return failed(http.StatusNotFound, "this message is not in the record")
}

// attach makes the answer a download. name is of our own making.
func attach(w http.ResponseWriter, kind, name string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Cache-Control", "no-store")
}
