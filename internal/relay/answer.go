package relay

import (
	"encoding/base64"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"loom/internal/callevent"
	"loom/internal/h2"
)

// errorDomain is the domain of the ErrorInfo in what loom answers itself.
const errorDomain = "loom"

// Reasons of ErrorInfo, for people and programs that ask why loom answered.
const (
	ReasonNoRoute        = "NO_ROUTE"
	ReasonDenied         = "ROUTE_DENIED"
	ReasonHeaderList     = "HEADER_LIST_TOO_LARGE"
	ReasonUnreachable    = "BACKEND_UNREACHABLE"
	ReasonLimit          = "LIMIT_EXCEEDED"
	ReasonBackendLost    = "BACKEND_LOST"
	ReasonBackendFault   = "BACKEND_PROTOCOL_ERROR"
	ReasonDeadline       = "DEADLINE_EXCEEDED"
	ReasonNotGRPC        = "NOT_GRPC"
	ReasonStalled        = "STREAM_STALLED"
	ReasonOutOfBuffer    = "BUFFER_LIMIT"
	ReasonCallerFault    = "CALLER_PROTOCOL_ERROR"
	ReasonBackendRemoved = "BACKEND_REMOVED"
	ReasonBackendDrained = "BACKEND_DRAINED" // an operator has drained all of its endpoints
	ReasonDrainTimeout   = "DRAIN_TIMEOUT"   // this process stops, and waits no longer

	ReasonTimeout = "ROUTE_TIMEOUT" // timeout.overall
	ReasonPerTry  = "PER_TRY_TIMEOUT"
	ReasonIdle    = "IDLE_TIMEOUT"

	ReasonBreakerOpen     = "BREAKER_OPEN"
	ReasonBreakerHalfOpen = "BREAKER_HALF_OPEN"
)

// refusal is an answer of loom's own.
type refusal struct {
	code    codes.Code
	reason  string
	message string
}

// begin returns the fields of r that go before its details.
func (r *refusal) begin(to []h2.Field) []h2.Field {
	return append(to,
		h2.Field{Name: "grpc-status", Value: strconv.Itoa(int(r.code))},
		h2.Field{Name: "grpc-message", Value: encodeMessage(r.message)})
}

// status returns r as google.rpc.Status with an ErrorInfo; nil if that cannot
// be said. Empty metadata is left out.
func (r *refusal) status(metadata map[string]string) []byte {
	info := &errdetails.ErrorInfo{Reason: r.reason, Domain: errorDomain}
	for k, v := range metadata {
		if v != "" {
			if info.Metadata == nil {
				info.Metadata = make(map[string]string)
			}
			info.Metadata[k] = strings.ToValidUTF8(v, "\uFFFD")
		}
	}
	s, err := status.New(r.code, strings.ToValidUTF8(r.message, "\uFFFD")).WithDetails(info)
	if err != nil {
		return nil
	}
	details, err := proto.Marshal(s.Proto())
	if err != nil {
		return nil
	}
	return details
}

// trailersOnly returns the one header block of a response that is all status,
// for a call of the given route and backend.
func (r *refusal) trailersOnly(route, backend string) []h2.Field {
	fields := r.begin([]h2.Field{
		{Name: ":status", Value: "200"},
		{Name: "content-type", Value: "application/grpc"},
	})
	details := r.status(map[string]string{"route": route, "backend": backend})
	if details == nil {
		return fields
	}
	return append(fields, h2.Field{
		Name:  "grpc-status-details-bin",
		Value: base64.RawStdEncoding.EncodeToString(details),
	})
}

// encodeMessage percent-encodes a grpc-message (gRPC over HTTP/2, "Responses").
func encodeMessage(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// decodeMessage undoes encodeMessage. What is not encoded right stays as it is.
func decodeMessage(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(v))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// answerNotGRPC answers a request that is no gRPC call, once it is complete:
// whoever speaks plain HTTP sends all of it before looking at the answer.
func (c *Call) answerNotGRPC(b *h2.Batch) {
	head := c.request.head
	c.down.SendHeaders(b, []h2.Field{
		{Name: ":status", Value: "415"},
		{Name: "content-type", Value: "text/plain; charset=utf-8"},
	}, head)
	if !head {
		c.down.Send(b, []byte("loom relays gRPC: POST with content-type application/grpc\n"), true, nil)
	}
	c.report(b, callevent.ByLoom, ReasonNotGRPC)
}
