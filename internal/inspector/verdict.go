package inspector

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
)

// verdict says in one sentence how a call ended and what had happened by then.
func verdict(c *loomv1.Call) string {
	if c.GetState() != loomv1.CallState_CALL_STATE_ENDED {
		return "The call is still open; " + evidence(c) + "."
	}
	took := length(c.GetTimings().GetEnd().AsDuration())
	by := c.GetEndedBy()
	switch by {
	case loomv1.Ender_ENDER_BACKEND:
		return backendVerdict(c, took)
	case loomv1.Ender_ENDER_BACKEND_RESET:
		return "The backend reset the stream after " + took + because(c) + "; " + evidence(c) + "."
	case loomv1.Ender_ENDER_BACKEND_LOST:
		return "The connection to the backend was lost after " + took + "; " + evidence(c) + "."
	case loomv1.Ender_ENDER_CLIENT_CANCEL:
		return "The client gave up after " + took + "; " + evidence(c) + "."
	case loomv1.Ender_ENDER_CLIENT_LOST:
		return "The connection to the client was lost after " + took + "; " + evidence(c) + "."
	case loomv1.Ender_ENDER_CLIENT_DEADLINE:
		if c.GetTimeout().AsDuration() > 0 {
			took = "of " + length(c.GetTimeout().AsDuration()) + " passed"
		} else {
			took = "passed after " + took
		}
		return "The client's deadline " + took + "; " + evidence(c) + "."
	case loomv1.Ender_ENDER_BREAKER:
		return fmt.Sprintf("The circuit breaker of backend %q was open, so loom refused the call and sent nothing.", c.GetBackend())
	case loomv1.Ender_ENDER_LOOM:
		return loomVerdict(c, took)
	}
	return "The call ended after " + took + ", and nothing is recorded of who ended it; " + evidence(c) + "."
}

func backendVerdict(c *loomv1.Call, took string) string {
	st := c.GetStatus()
	if n := len(c.GetAttempts()); n > 1 {
		took += fmt.Sprintf(" and %d attempts", n)
	}
	switch {
	case st == nil:
		return "The backend ended the call after " + took + " without a gRPC status; " + evidence(c) + "."
	case st.GetCode() != uint32(codes.OK):
		return "The backend answered " + codeName(st.GetCode()) + " after " + took + said(st) + "."
	}
	n := c.GetResponse().GetMessages()
	return "The backend answered OK after " + took + ", with " + count(n) + "."
}

// loomVerdict is for what loom ended itself: why, by the reason that callers
// are told in ErrorInfo.
func loomVerdict(c *loomv1.Call, took string) string {
	backend := fmt.Sprintf("backend %q", c.GetBackend())
	path := fmt.Sprintf("%q", c.GetPath())
	var why string
	switch c.GetReason() {
	case "NO_ROUTE":
		return "No route matches " + path + ", so loom refused the call and sent nothing."
	case "ROUTE_DENIED":
		return fmt.Sprintf("Route %q denies the call, so loom refused it and sent nothing.", c.GetRoute())
	case "HEADER_LIST_TOO_LARGE":
		return "The metadata of the request is larger than the listener allows, so loom refused the call and sent nothing."
	case "NOT_GRPC":
		return "The request is not gRPC, so loom answered HTTP 415 and sent nothing."
	case "BACKEND_UNREACHABLE":
		return "No connection to " + backend + " could be made within " + took + said(c.GetStatus()) + "."
	case "LIMIT_EXCEEDED":
		return "A limit of " + backend + " is reached, so loom refused the call after " + took + said(c.GetStatus()) + "."
	case "BACKEND_DRAINED":
		return "An operator has drained all endpoints of " + backend + ", so loom refused the call after " + took + "."
	case "BACKEND_REMOVED":
		return "The configuration no longer has " + backend + ", so loom ended the call after " + took + "."
	case "BACKEND_LOST":
		why = "The connection to the backend was lost after " + took
	case "BACKEND_PROTOCOL_ERROR":
		why = "The backend broke the protocol after " + took + said(c.GetStatus())
	case "DEADLINE_EXCEEDED":
		why = "The deadline passed after " + took
	case "ROUTE_TIMEOUT", "PER_TRY_TIMEOUT", "IDLE_TIMEOUT":
		why = fmt.Sprintf("A time-out of route %q ended the call after ", c.GetRoute()) + took + said(c.GetStatus())
	case "STREAM_STALLED":
		why = "The stream was ended after " + took + " because one side took nothing for too long while bytes waited"
	case "BUFFER_LIMIT":
		why = "The stream was ended after " + took + " because loom had no more room for the bytes that wait"
	case capture.ReasonLost:
		return "The loomd process that carried the call ended, or forgot the call, before it said how that had ended; the last that is known of it is from " + took + " after its start."
	case "CALLER_PROTOCOL_ERROR":
		why = "The client broke the protocol after " + took + said(c.GetStatus())
	case "":
		why = "Loom ended the call after " + took + said(c.GetStatus())
	default:
		why = "Loom ended the call after " + took + because(c)
	}
	return why + "; " + evidence(c) + "."
}

// evidence says how far the backend had come.
func evidence(c *loomv1.Call) string {
	t, n := c.GetTimings(), c.GetResponse().GetMessages()
	switch {
	case n > 0:
		out := "the backend had sent " + count(n)
		if at := lastMessage(c); at > 0 {
			if n == 1 {
				return out + " after " + length(at)
			}
			return out + ", the last after " + length(at)
		}
		return out
	case t.GetResponseHeaders() != nil && !trailersOnly(c):
		return "the backend had answered headers after " + length(t.GetResponseHeaders().AsDuration()) + " and no message"
	case len(c.GetAttempts()) > 1:
		return fmt.Sprintf("the backend had not answered, in %d attempts", len(c.GetAttempts()))
	case len(c.GetAttempts()) == 1 || c.GetEndpoint() != "":
		return "the backend had not answered"
	case c.GetBackend() != "":
		return fmt.Sprintf("it was still waiting for a connection to backend %q", c.GetBackend())
	}
	return "it had not been sent to a backend"
}

// trailersOnly reports whether the time of the headers is that of the only
// block, which is no answer to wait for.
func trailersOnly(c *loomv1.Call) bool { return len(c.GetResponseHeaders()) == 0 }

// lastMessage is when the newest recorded message of the response came; 0 if
// none was recorded.
func lastMessage(c *loomv1.Call) time.Duration {
	var at *durationpb.Duration
	for _, m := range c.GetMessages() {
		if m.GetDirection() == loomv1.Direction_DIRECTION_RESPONSE {
			at = m.GetFirstByte()
		}
	}
	if at == nil {
		at = c.GetTimings().GetFirstResponseMessage()
	}
	return at.AsDuration()
}

// said quotes the message of a status, which strangers write.
func said(st *loomv1.Status) string {
	text := strings.TrimSpace(st.GetMessage())
	if text == "" {
		return ""
	}
	return ": " + strings.TrimRight(shorten(text, 300), ".")
}

func because(c *loomv1.Call) string {
	if c.GetReason() == "" {
		return ""
	}
	return " (" + shorten(c.GetReason(), 100) + ")"
}

// shorten cuts text between characters.
func shorten(text string, most int) string {
	n := 0
	for i := range text {
		if n++; n > most {
			return text[:i] + "…"
		}
	}
	return text
}

func count(messages uint64) string {
	switch messages {
	case 0:
		return "no message"
	case 1:
		return "1 message"
	}
	return fmt.Sprintf("%d messages", messages)
}

// length writes a duration with as many digits as a person compares.
func length(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case d < time.Second:
		return strings.TrimSuffix(fmt.Sprintf("%.2f", d.Seconds()), "0") + " s"
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// codeName is the name of a gRPC status as in the specification.
func codeName(code uint32) string {
	names := [...]string{
		"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
		"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
		"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
	}
	if int(code) < len(names) {
		return names[code]
	}
	return fmt.Sprintf("status %d", code)
}
