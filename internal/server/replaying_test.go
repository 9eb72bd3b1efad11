package server

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
)

func text(name, value string) *loomv1.Metadata {
	return &loomv1.Metadata{Name: name, Content: &loomv1.Metadata_Text{Text: value}}
}

// direct is the record of a call that passed no listener.
func direct(path string, request []byte) *loomv1.Call {
	return &loomv1.Call{
		Id: "1-1", Backend: "b", Path: path,
		RequestHeaders:  []*loomv1.Metadata{text("authorization", secret), text("x-tier", "gold")},
		ResponseHeaders: []*loomv1.Metadata{text("cookie", secret)},
		Trailers:        []*loomv1.Metadata{text("authorization", secret), text("x-cost", "7")},
		Messages: []*loomv1.Message{
			{Direction: loomv1.Direction_DIRECTION_REQUEST, Sequence: 1, Size: uint64(len(request)), Data: request},
			{Direction: loomv1.Direction_DIRECTION_RESPONSE, Sequence: 1, Size: 2, Data: []byte{8, 1}},
		},
	}
}

// TestRedactDirect takes secrets out of calls that were made past the
// listeners, wherever they are.
func TestRedactDirect(t *testing.T) {
	for _, test := range []struct {
		name, config, path string
		request            []byte
		change             func(*loomv1.Call)
		redacted           bool
		withheld           string
		response           bool // is stored
	}{
		{name: "a field", config: redactEmail, path: "/acme.Users/Get", request: user(), redacted: true, response: true},
		{name: "type unknown", config: redactEmail, path: "/acme.Other/Get", request: user(), withheld: "type is not known"},
		{name: "a field that is cut", config: redactEmail, path: "/acme.Users/Get", request: user()[:len(user())-1], redacted: true, response: true},
		{
			name: "unheard-of compression", config: redactEmail, path: "/acme.Users/Get", request: user(), withheld: "could not be taken out", response: true,
			change: func(c *loomv1.Call) {
				c.RequestHeaders = append(c.RequestHeaders, text("grpc-encoding", "quux"))
				c.Messages[0].Compressed = true
			},
		},
		{name: "no secret in the message", config: redactEmail, path: "/acme.Users/Get", request: user()[:5], response: true},
		{name: "nothing but metadata", path: "/acme.Users/Get", request: []byte{8, 1}, response: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := knowing(t, test.config)
			c := direct(test.path, test.request)
			if test.change != nil {
				test.change(c)
			}
			s.redact(capture.Full, c)
			all, err := proto.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(all, []byte(secret[:8])) {
				t.Errorf("the secret is still in %v", c)
			}
			if len(c.GetRequestHeaders()) < 2 || !c.GetRequestHeaders()[0].GetRedacted() || c.GetRequestHeaders()[1].GetText() != "gold" || c.GetTrailers()[1].GetText() != "7" {
				t.Errorf("metadata %v and %v", c.GetRequestHeaders(), c.GetTrailers())
			}
			sent, answered := c.GetMessages()[0], c.GetMessages()[1]
			if sent.GetRedacted() != test.redacted || (sent.GetWithheld() != "") != (test.withheld != "") || !strings.Contains(sent.GetWithheld(), test.withheld) {
				t.Errorf("the request is %v", sent)
			}
			if sent.GetSize() != uint64(len(test.request)) {
				t.Errorf("the request was %d bytes, and is said to be %d", len(test.request), sent.GetSize())
			}
			if stored := len(answered.GetData()) > 0; stored != test.response || stored == (answered.GetWithheld() != "") {
				t.Errorf("the response is %v", answered)
			}
		})
	}
}

// TestRedactDirectByMode stores no more of such a call than of any other.
func TestRedactDirectByMode(t *testing.T) {
	for _, mode := range []capture.Mode{capture.Metadata, capture.Off} {
		t.Run(mode.String(), func(t *testing.T) {
			s := knowing(t, "")
			c := direct("/acme.Users/Get", user())
			s.redact(mode, c)
			if !c.GetOmission().GetBodiesOff() || !c.GetRequestHeaders()[0].GetRedacted() {
				t.Errorf("the call is %v", c)
			}
			for _, m := range c.GetMessages() {
				if len(m.GetData()) > 0 || !m.GetTruncated() || m.GetSize() == 0 {
					t.Errorf("the message is %v", m)
				}
			}
		})
	}
	s := knowing(t, "capture: {message_bytes: 1KiB}\n")
	c := direct("/acme.Users/Get", make([]byte, 5000))
	s.redact(capture.Full, c)
	if m := c.GetMessages()[0]; len(m.GetData()) != 1024 || !m.GetTruncated() || m.GetSize() != 5000 {
		t.Errorf("%d of %d bytes are kept, truncated %v", len(m.GetData()), m.GetSize(), m.GetTruncated())
	}
}
