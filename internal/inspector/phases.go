package inspector

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	loomv1 "loom/api/loom/v1"
)

// maxPhases bounds the attempts that are shown as phases of their own.
const maxPhases = 20

// phase is a part of a call's time, in microseconds since its start.
type phase struct {
	Name string `json:"name"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
}

// phases says where the time of a call went: queue (until it was sent
// anywhere, connecting included), each attempt that was given up, first byte
// (until the backend's headers), first message, stream, end. What has not
// happened is left out; that of an open call lasts until its newest event.
func phases(c *loomv1.Call) []phase {
	t := c.GetTimings()
	var out []phase
	var at time.Duration
	add := func(name string, until *durationpb.Duration) {
		to := until.AsDuration()
		if until == nil || to < at || len(out) > maxPhases {
			return
		}
		out = append(out, phase{name, at.Microseconds(), to.Microseconds()})
		at = to
	}
	name := "queue"
	for i, a := range c.GetAttempts() {
		add(name, a.GetAt())
		name = "attempt " + strconv.Itoa(i+1)
	}
	if len(c.GetAttempts()) > 0 {
		name = "first byte"
	}
	if t.GetResponseHeaders() != nil {
		add(name, t.GetResponseHeaders())
		name = "first message"
		if t.GetFirstResponseMessage() != nil {
			add(name, t.GetFirstResponseMessage())
			name = "stream"
			if c.GetResponse().GetMessages() > 1 || c.GetRequest().GetMessages() > 1 {
				add(name, t.GetLastByte())
				name = "end"
			}
		}
	}
	if name == "stream" || name == "first message" {
		name = "end"
	}
	if end := t.GetEnd(); end != nil {
		add(name, end)
		return out
	}
	if last := newest(c); last > at {
		add("open", durationpb.New(last))
	}
	return out
}

// newest is when something was last heard of a call, as far as recorded.
func newest(c *loomv1.Call) time.Duration {
	last := c.GetTimings().GetLastByte().AsDuration()
	for _, m := range c.GetMessages() {
		last = max(last, m.GetFirstByte().AsDuration(), m.GetLastByte().AsDuration())
	}
	return last
}
