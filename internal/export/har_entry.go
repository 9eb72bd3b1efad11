package export

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/types/known/durationpb"

	loomv1 "loom/api/loom/v1"
)

const (
	httpVersion    = "HTTP/2"
	base64Encoding = "base64"
	redactedText   = "[redacted]"
	grpcType       = "application/grpc"
	flagCompressed = 1
)

func newHAREntry(c *loomv1.Call) harEntry {
	timings := newHARTimings(c)
	entry := harEntry{
		StartedDateTime: c.GetStart().AsTime().Format("2006-01-02T15:04:05.000000Z07:00"),
		Time:            timings.Send + timings.Wait + timings.Receive,
		Timings:         timings,
		ServerIPAddress: ipOf(c.GetEndpoint()),
		Comment:         outcome(c),
		ID:              c.GetId(), Route: c.GetRoute(), Backend: c.GetBackend(),
		Messages: harMessages(c),
		Request: harRequest{
			Method: http.MethodPost, URL: callURL(c), HTTPVersion: httpVersion,
			Cookies: []struct{}{}, QueryString: []struct{}{}, Headers: harFields(c.GetRequestHeaders()),
			HeadersSize: -1, BodySize: c.GetRequest().GetBytes(),
		},
		Response: harResponse{
			Status: httpStatus(c), HTTPVersion: httpVersion, Cookies: []struct{}{},
			Headers: harFields(c.GetResponseHeaders()), Trailers: harFields(c.GetTrailers()),
			Content:     harContent{Size: c.GetResponse().GetBytes(), MIMEType: contentType(c.GetResponseHeaders())},
			HeadersSize: -1, BodySize: c.GetResponse().GetBytes(),
		},
	}
	if text, gap := body(c, loomv1.Direction_DIRECTION_REQUEST); text != "" || gap != "" {
		entry.Request.PostData = &harPostData{
			MIMEType: contentType(c.GetRequestHeaders()), Text: text, Encoding: base64Encoding, Comment: gap,
		}
	}
	content := &entry.Response.Content
	if content.Text, content.Comment = body(c, loomv1.Direction_DIRECTION_RESPONSE); content.Text != "" {
		content.Encoding = base64Encoding
	}
	return entry
}

// body returns the gRPC frames of one direction in base64, and what is not in
// them. A frame has the length of what was recorded, so that the ones behind
// it can be read.
func body(c *loomv1.Call, d loomv1.Direction) (text, gap string) {
	var frames []byte
	var gaps []string
	traffic := c.GetRequest()
	if d == loomv1.Direction_DIRECTION_RESPONSE {
		traffic = c.GetResponse()
	}
	for _, m := range c.GetMessages() {
		if m.GetDirection() != d {
			continue
		}
		if why := missing(m); why != "" {
			gaps = append(gaps, fmt.Sprintf("message %d: %s", m.GetSequence(), why))
		}
		if m.GetWithheld() != "" {
			continue
		}
		flag := byte(0)
		if m.GetCompressed() {
			flag = flagCompressed
		}
		frames = append(frames, flag)
		frames = binary.BigEndian.AppendUint32(frames, uint32(len(m.GetData())))
		frames = append(frames, m.GetData()...)
	}
	if n := traffic.GetUnrecorded(); n > 0 {
		gaps = append(gaps, fmt.Sprintf("%d messages were not recorded", n))
	}
	return base64.StdEncoding.EncodeToString(frames), strings.Join(gaps, "; ")
}

// missing says why the bytes of a message are not all there.
func missing(m *loomv1.Message) string {
	switch {
	case m.GetWithheld() != "":
		return "withheld: " + m.GetWithheld()
	case m.GetTruncated():
		return fmt.Sprintf("the first %d of %d bytes", len(m.GetData()), m.GetSize())
	case m.GetRedacted():
		return "fields were taken out"
	default:
		return ""
	}
}

func harMessages(c *loomv1.Call) []harMessage {
	out := make([]harMessage, 0, len(c.GetMessages()))
	for _, m := range c.GetMessages() {
		kind := "send"
		if m.GetDirection() == loomv1.Direction_DIRECTION_RESPONSE {
			kind = "receive"
		}
		out = append(out, harMessage{
			Type: kind, Time: milliseconds(m.GetFirstByte().AsDuration()), Sequence: m.GetSequence(),
			Size: m.GetSize(), Compressed: m.GetCompressed(), Missing: missing(m),
		})
	}
	return out
}

func harFields(fields []*loomv1.Metadata) []harField {
	out := make([]harField, 0, len(fields))
	for _, m := range fields {
		f := harField{Name: m.GetName(), Value: m.GetText()}
		switch content := m.GetContent().(type) {
		case *loomv1.Metadata_Binary:
			f.Value, f.Comment = base64.StdEncoding.EncodeToString(content.Binary), "base64 of a value that is not UTF-8"
		case *loomv1.Metadata_Redacted:
			f.Value = redactedText
		}
		out = append(out, f)
	}
	return out
}

// newHARTimings splits the time of the call at the first byte of the request
// and at the headers of the response.
func newHARTimings(c *loomv1.Call) harTimings {
	t := c.GetTimings()
	end := latest(t.GetEnd(), t.GetLastByte(), t.GetFirstResponseMessage(), t.GetResponseHeaders(), t.GetFirstRequestByte())
	send := min(max(t.GetFirstRequestByte().AsDuration(), 0), end)
	headers := end
	if t.GetResponseHeaders() != nil {
		headers = min(max(t.GetResponseHeaders().AsDuration(), send), end)
	}
	return harTimings{
		Blocked: -1, DNS: -1, Connect: -1, SSL: -1,
		Send: milliseconds(send), Wait: milliseconds(headers - send), Receive: milliseconds(end - headers),
	}
}

func latest(times ...*durationpb.Duration) time.Duration {
	var last time.Duration
	for _, t := range times {
		last = max(last, t.AsDuration())
	}
	return last
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func callURL(c *loomv1.Call) string {
	scheme := valueOf(c.GetRequestHeaders(), ":scheme")
	if scheme != "https" {
		scheme = "http"
	}
	u := url.URL{Scheme: scheme, Host: c.GetAuthority(), Path: c.GetPath()}
	return u.String()
}

func httpStatus(c *loomv1.Call) int {
	if n, err := strconv.Atoi(valueOf(c.GetResponseHeaders(), ":status")); err == nil {
		return n
	}
	if n, err := strconv.Atoi(valueOf(c.GetTrailers(), ":status")); err == nil {
		return n
	}
	if c.GetStatus() == nil {
		return 0 // as browsers write it when nothing came
	}
	return http.StatusOK
}

// outcome is the status in words, or who ended a call without one.
func outcome(c *loomv1.Call) string {
	var text string
	switch s := c.GetStatus(); {
	case s != nil:
		name, known := code.Code_name[int32(s.GetCode())]
		if !known {
			name = "unknown code"
		}
		text = fmt.Sprintf("grpc-status %d %s", s.GetCode(), name)
		if s.GetMessage() != "" {
			text += ": " + s.GetMessage()
		}
	case c.GetState() == loomv1.CallState_CALL_STATE_OPEN:
		return "still open"
	default:
		text = "no grpc-status"
	}
	if by := c.GetEndedBy(); by != loomv1.Ender_ENDER_UNSPECIFIED && by != loomv1.Ender_ENDER_BACKEND {
		text += " (ended by " + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(by.String(), "ENDER_"), "_", " ")) + ")"
	}
	return text
}

func contentType(fields []*loomv1.Metadata) string {
	if v := valueOf(fields, "content-type"); v != "" {
		return v
	}
	return grpcType
}

func valueOf(fields []*loomv1.Metadata, name string) string {
	for _, m := range fields {
		if m.GetName() == name {
			return m.GetText()
		}
	}
	return ""
}

// ipOf returns the address of an endpoint, and nothing for one that is none,
// such as a Unix socket.
func ipOf(endpoint string) string {
	if ap, err := netip.ParseAddrPort(endpoint); err == nil {
		return ap.Addr().String()
	}
	return ""
}
