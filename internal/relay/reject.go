package relay

import (
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"loom/internal/callevent"
	"loom/internal/h2"
)

// breakerStates is in how many states a breaker rejects calls.
const breakerStates = 3

// rejection is what a caller gets while a breaker rejects calls, as far as it
// is the same for all: many may come at once, so it is made only once.
type rejection struct {
	refusal
	head    []h2.Field // all of the answer but the details and the pushback
	details []byte     // google.rpc.Status with ErrorInfo
}

// prepareRejections makes the rejections of a backend on a route. They lie as
// place says.
func prepareRejections(route, backend string) [breakerStates]rejection {
	name := strconv.Quote(backend)
	all := [breakerStates]rejection{
		{refusal: refusal{codes.Unavailable, ReasonBreakerOpen, "the breaker of backend " + name + " is open"}},
		{refusal: refusal{codes.Unavailable, ReasonBreakerHalfOpen, "the breaker of backend " + name + " is half-open: the backend is being tried"}},
		{refusal: refusal{codes.Unavailable, ReasonBreakerOpen, "the breaker of backend " + name + " is held open by an operator"}},
	}
	for i, state := range []string{"open", "half_open", "forced_open"} {
		r := &all[i]
		r.details = r.status(map[string]string{"route": route, "backend": backend, "state": state})
		r.head = r.begin([]h2.Field{
			{Name: ":status", Value: "200"},
			{Name: "content-type", Value: "application/grpc"},
		})
	}
	return all
}

// place is that of the rejection among those that are prepared.
func (r *Rejection) place() int {
	switch {
	case r.Forced:
		return 2
	case r.HalfOpen:
		return 1
	default:
		return 0
	}
}

// reject answers a call that no breaker lets pass. It is Trailers-Only, which
// is what makes a client look at the pushback.
func (c *Call) reject(b *h2.Batch, br *branch, r *Rejection) {
	c.conn.relay.opts.Counters.BreakerRejections.Add(1)
	p := &br.rejections[r.place()]
	fields := make([]h2.Field, len(p.head), len(p.head)+2)
	copy(fields, p.head)
	fields = append(fields, h2.Field{Name: "grpc-status-details-bin", Value: base64.RawStdEncoding.EncodeToString(withRetryInfo(p.details, r.RetryIn))})
	if back := c.pushback(b, r); back != "" {
		fields = append(fields, h2.Field{Name: "grpc-retry-pushback-ms", Value: back})
	}
	c.reply(b, callevent.ByBreaker, &p.refusal, fields)
}

// withRetryInfo returns details with a RetryInfo that says in, if it is known.
// Messages of protobuf are merged by putting one behind the other.
func withRetryInfo(details []byte, in time.Duration) []byte {
	if in <= 0 {
		return details
	}
	info, err := anypb.New(&errdetails.RetryInfo{RetryDelay: durationpb.New(in)})
	if err != nil {
		return details
	}
	more, err := proto.Marshal(&spb.Status{Details: []*anypb.Any{info}})
	if err != nil {
		return details
	}
	return append(slices.Clip(details), more...)
}

const (
	// longestPushback is how long clients are asked to hold a call back. One
	// that waits longer would rather hear at once that there is no answer.
	longestPushback = 2 * time.Second
	// pushbackJitter spreads the clients over time, which sleep for exactly
	// as long as they are told.
	pushbackJitter = 0.25
)

// pushback says after how many milliseconds the caller may try again: -1 for
// not at all, nothing when nobody knows.
func (c *Call) pushback(b *h2.Batch, r *Rejection) string {
	if r.RetryIn <= 0 {
		if r.HalfOpen {
			return ""
		}
		return "-1"
	}
	d := time.Duration(float64(r.RetryIn) * (1 + pushbackJitter*rand.Float64()))
	if d > longestPushback || c.allowed > 0 && b.Now.Sub(c.started)+d > c.allowed {
		return "-1"
	}
	// Rounded up: before the time is over, nothing has changed.
	return strconv.FormatInt(int64((d+time.Millisecond-1)/time.Millisecond), 10)
}
