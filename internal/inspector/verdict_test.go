package inspector

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	loomv1 "loom/api/loom/v1"
)

// ending makes a call that ended; each change adds what had happened.
func ending(by loomv1.Ender, reason string, took time.Duration, changes ...func(*loomv1.Call)) *loomv1.Call {
	c := &loomv1.Call{
		State: loomv1.CallState_CALL_STATE_ENDED, Path: "/a.B/C", Backend: "users", Route: "admin", EndedBy: by, Reason: reason,
		Attempts: []*loomv1.Attempt{{Backend: "users", Endpoint: "x:1", At: durationpb.New(time.Millisecond)}},
		Timings:  &loomv1.Timings{End: durationpb.New(took)},
		Request:  &loomv1.Traffic{Messages: 1}, Response: &loomv1.Traffic{},
	}
	for _, change := range changes {
		change(c)
	}
	return c
}

func headersAt(d time.Duration) func(*loomv1.Call) {
	return func(c *loomv1.Call) {
		c.Timings.ResponseHeaders = durationpb.New(d)
		c.ResponseHeaders = []*loomv1.Metadata{text("content-type", "application/grpc")}
	}
}

func messagesAt(at ...time.Duration) func(*loomv1.Call) {
	return func(c *loomv1.Call) {
		for i, d := range at {
			c.Messages = append(c.Messages, &loomv1.Message{
				Direction: loomv1.Direction_DIRECTION_RESPONSE, Sequence: uint64(i + 1), FirstByte: durationpb.New(d),
			})
		}
		c.Response.Messages = uint64(len(at))
	}
}

func statusOf(code uint32, message string) func(*loomv1.Call) {
	return func(c *loomv1.Call) { c.Status = &loomv1.Status{Code: code, Message: message} }
}

func deadlineOf(d time.Duration) func(*loomv1.Call) {
	return func(c *loomv1.Call) { c.Timeout = durationpb.New(d) }
}

func attempts(n int) func(*loomv1.Call) {
	return func(c *loomv1.Call) {
		c.Attempts = nil
		for range n {
			c.Attempts = append(c.Attempts, &loomv1.Attempt{Backend: "users", At: durationpb.New(0)})
		}
	}
}

func unrouted(c *loomv1.Call) { c.Attempts, c.Backend = nil, "" }

func TestVerdict(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	e := loomv1.Ender(0)
	for _, test := range []struct {
		call *loomv1.Call
		want string
	}{
		{
			ending(loomv1.Ender_ENDER_CLIENT_CANCEL, "", 2*s, headersAt(300*ms)),
			"The client gave up after 2.0 s; the backend had answered headers after 0.3 s and no message.",
		},
		{ending(loomv1.Ender_ENDER_CLIENT_CANCEL, "", 2*s), "The client gave up after 2.0 s; the backend had not answered."},
		{
			ending(loomv1.Ender_ENDER_CLIENT_CANCEL, "", 2*s, headersAt(300*ms), messagesAt(400*ms, 1500*ms)),
			"The client gave up after 2.0 s; the backend had sent 2 messages, the last after 1.5 s.",
		},
		{
			ending(loomv1.Ender_ENDER_CLIENT_CANCEL, "", 2*s, headersAt(300*ms), messagesAt(400*ms)),
			"The client gave up after 2.0 s; the backend had sent 1 message after 0.4 s.",
		},
		{
			ending(loomv1.Ender_ENDER_CLIENT_CANCEL, "", 2*s, attempts(0)),
			`The client gave up after 2.0 s; it was still waiting for a connection to backend "users".`,
		},
		{
			ending(loomv1.Ender_ENDER_CLIENT_LOST, "", 20*ms, attempts(3)),
			"The connection to the client was lost after 20 ms; the backend had not answered, in 3 attempts.",
		},
		{
			ending(loomv1.Ender_ENDER_CLIENT_DEADLINE, "", 250*ms, deadlineOf(250*ms)),
			"The client's deadline of 0.25 s passed; the backend had not answered.",
		},
		{
			ending(loomv1.Ender_ENDER_CLIENT_DEADLINE, "DEADLINE_EXCEEDED", 3*s, deadlineOf(3*s), headersAt(5*ms)),
			"The client's deadline of 3.0 s passed; the backend had answered headers after 5.0 ms and no message.",
		},
		{ending(loomv1.Ender_ENDER_CLIENT_DEADLINE, "", s), "The client's deadline passed after 1.0 s; the backend had not answered."},
		{ending(loomv1.Ender_ENDER_BACKEND, "", 12*ms, statusOf(0, ""), messagesAt(ms)), "The backend answered OK after 12 ms, with 1 message."},
		{ending(loomv1.Ender_ENDER_BACKEND, "", 12*ms, statusOf(0, ""), messagesAt(ms), attempts(2)), "The backend answered OK after 12 ms and 2 attempts, with 1 message."},
		{ending(loomv1.Ender_ENDER_BACKEND, "", 900*time.Microsecond, statusOf(0, "")), "The backend answered OK after 900 µs, with no message."},
		{ending(loomv1.Ender_ENDER_BACKEND, "", 12*ms, statusOf(5, "no user 7.")), "The backend answered NOT_FOUND after 12 ms: no user 7."},
		{ending(loomv1.Ender_ENDER_BACKEND, "", 12*ms, statusOf(99, "")), "The backend answered status 99 after 12 ms."},
		{ending(loomv1.Ender_ENDER_BACKEND, "", 12*ms), "The backend ended the call after 12 ms without a gRPC status; the backend had not answered."},
		{
			ending(loomv1.Ender_ENDER_BACKEND_RESET, "RST_STREAM INTERNAL_ERROR", 1200*ms, headersAt(s)),
			"The backend reset the stream after 1.2 s (RST_STREAM INTERNAL_ERROR); the backend had answered headers after 1.0 s and no message.",
		},
		{ending(loomv1.Ender_ENDER_BACKEND_LOST, "BACKEND_LOST", 65*s), "The connection to the backend was lost after 1m5s; the backend had not answered."},
		{ending(loomv1.Ender_ENDER_BREAKER, "", ms, attempts(0)), `The circuit breaker of backend "users" was open, so loom refused the call and sent nothing.`},

		{ending(loomv1.Ender_ENDER_LOOM, "NO_ROUTE", ms, unrouted), `No route matches "/a.B/C", so loom refused the call and sent nothing.`},
		{ending(loomv1.Ender_ENDER_LOOM, "ROUTE_DENIED", ms, unrouted), `Route "admin" denies the call, so loom refused it and sent nothing.`},
		{ending(loomv1.Ender_ENDER_LOOM, "HEADER_LIST_TOO_LARGE", ms, unrouted), "The metadata of the request is larger than the listener allows, so loom refused the call and sent nothing."},
		{ending(loomv1.Ender_ENDER_LOOM, "NOT_GRPC", ms, unrouted), "The request is not gRPC, so loom answered HTTP 415 and sent nothing."},
		{
			ending(loomv1.Ender_ENDER_LOOM, "BACKEND_UNREACHABLE", 5*ms, attempts(0), statusOf(14, "connection refused")),
			`No connection to backend "users" could be made within 5.0 ms: connection refused.`,
		},
		{
			ending(loomv1.Ender_ENDER_LOOM, "LIMIT_EXCEEDED", ms, attempts(0), statusOf(14, "too many calls are open")),
			`A limit of backend "users" is reached, so loom refused the call after 1.0 ms: too many calls are open.`,
		},
		{
			ending(loomv1.Ender_ENDER_LOOM, "PER_TRY_TIMEOUT", 2*s, attempts(3), statusOf(4, "no answer began in time")),
			`A time-out of route "admin" ended the call after 2.0 s: no answer began in time; the backend had not answered, in 3 attempts.`,
		},
		{ending(loomv1.Ender_ENDER_LOOM, "BACKEND_DRAINED", ms), `An operator has drained all endpoints of backend "users", so loom refused the call after 1.0 ms.`},
		{ending(loomv1.Ender_ENDER_LOOM, "BACKEND_REMOVED", ms), `The configuration no longer has backend "users", so loom ended the call after 1.0 ms.`},
		{ending(loomv1.Ender_ENDER_LOOM, "BACKEND_LOST", ms), "The connection to the backend was lost after 1.0 ms; the backend had not answered."},
		{ending(loomv1.Ender_ENDER_LOOM, "BACKEND_PROTOCOL_ERROR", ms, statusOf(13, "bad frame")), "The backend broke the protocol after 1.0 ms: bad frame; the backend had not answered."},
		{ending(loomv1.Ender_ENDER_LOOM, "DEADLINE_EXCEEDED", s), "The deadline passed after 1.0 s; the backend had not answered."},
		{ending(loomv1.Ender_ENDER_LOOM, "STREAM_STALLED", s), "The stream was ended after 1.0 s because one side took nothing for too long while bytes waited; the backend had not answered."},
		{ending(loomv1.Ender_ENDER_LOOM, "BUFFER_LIMIT", s), "The stream was ended after 1.0 s because loom had no more room for the bytes that wait; the backend had not answered."},
		{ending(loomv1.Ender_ENDER_LOOM, "CALLER_PROTOCOL_ERROR", s), "The client broke the protocol after 1.0 s; the backend had not answered."},
		{
			ending(loomv1.Ender_ENDER_LOOM, "PROCESS_LOST", s),
			"The loomd process that carried the call ended, or forgot the call, before it said how that had ended; the last that is known of it is from 1.0 s after its start.",
		},
		{ending(loomv1.Ender_ENDER_LOOM, "", s), "Loom ended the call after 1.0 s; the backend had not answered."},
		{ending(loomv1.Ender_ENDER_LOOM, "LATER_REASON", s), "Loom ended the call after 1.0 s (LATER_REASON); the backend had not answered."},
		{ending(e, "", s), "The call ended after 1.0 s, and nothing is recorded of who ended it; the backend had not answered."},
		{&loomv1.Call{Backend: "users"}, `The call is still open; it was still waiting for a connection to backend "users".`},
		{&loomv1.Call{}, "The call is still open; it had not been sent to a backend."},
	} {
		if got := verdict(test.call); got != test.want {
			t.Errorf("%s %q:\n got %s\nwant %s", test.call.GetEndedBy(), test.call.GetReason(), got, test.want)
		}
	}
}

// TestVerdictOfLongTexts holds that a verdict stays a sentence.
func TestVerdictOfLongTexts(t *testing.T) {
	got := verdict(ending(loomv1.Ender_ENDER_BACKEND, "", time.Second, statusOf(13, strings.Repeat("é", 1<<20))))
	if len(got) > 1000 {
		t.Errorf("the verdict has %d bytes", len(got))
	}
}

func TestPhases(t *testing.T) {
	const ms = time.Millisecond
	at := func(n int) *durationpb.Duration { return durationpb.New(time.Duration(n) * ms) }
	unary := &loomv1.Call{
		Attempts: []*loomv1.Attempt{{At: at(1)}},
		Timings:  &loomv1.Timings{ResponseHeaders: at(10), FirstResponseMessage: at(12), LastByte: at(12), End: at(14)},
		Request:  &loomv1.Traffic{Messages: 1}, Response: &loomv1.Traffic{Messages: 1},
	}
	for name, test := range map[string]struct {
		call *loomv1.Call
		want string
	}{
		"unary": {unary, "queue 0-1, first byte 1-10, first message 10-12, end 12-14"},
		"stream": {&loomv1.Call{
			Attempts: []*loomv1.Attempt{{At: at(1)}},
			Timings:  &loomv1.Timings{ResponseHeaders: at(10), FirstResponseMessage: at(12), LastByte: at(50), End: at(51)},
			Response: &loomv1.Traffic{Messages: 9},
		}, "queue 0-1, first byte 1-10, first message 10-12, stream 12-50, end 50-51"},
		"second try": {&loomv1.Call{
			Attempts: []*loomv1.Attempt{{At: at(1)}, {At: at(4)}},
			Timings:  &loomv1.Timings{ResponseHeaders: at(10), End: at(10)},
		}, "queue 0-1, attempt 1 1-4, first byte 4-10, end 10-10"},
		"never sent":   {&loomv1.Call{Timings: &loomv1.Timings{End: at(3)}}, "queue 0-3"},
		"cancelled":    {&loomv1.Call{Attempts: []*loomv1.Attempt{{At: at(1)}}, Timings: &loomv1.Timings{End: at(3)}}, "queue 0-1, first byte 1-3"},
		"open, silent": {&loomv1.Call{Attempts: []*loomv1.Attempt{{At: at(1)}}}, "queue 0-1"},
		"open, talking": {&loomv1.Call{
			Attempts: []*loomv1.Attempt{{At: at(1)}}, Timings: &loomv1.Timings{ResponseHeaders: at(2), FirstResponseMessage: at(3)},
			Messages: []*loomv1.Message{{FirstByte: at(9)}}, Response: &loomv1.Traffic{Messages: 1},
		}, "queue 0-1, first byte 1-2, first message 2-3, open 3-9"},
		"nothing": {&loomv1.Call{}, ""},
		"times that run back": {&loomv1.Call{
			Attempts: []*loomv1.Attempt{{At: at(5)}}, Timings: &loomv1.Timings{ResponseHeaders: at(2), End: at(9)},
		}, "queue 0-5, end 5-9"},
	} {
		var got []string
		for _, p := range phases(test.call) {
			got = append(got, fmt.Sprintf("%s %d-%d", p.Name, p.From/1000, p.To/1000))
		}
		if s := strings.Join(got, ", "); s != test.want {
			t.Errorf("%s: %s, want %s", name, s, test.want)
		}
	}
}
