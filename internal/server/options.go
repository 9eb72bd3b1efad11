package server

import (
	"os"
	"runtime/debug"
	"time"

	"google.golang.org/grpc/codes"

	"loom/internal/backend"
	"loom/internal/config"
	"loom/internal/h2"
	"loom/internal/relay"
)

// h2Limits turns the configuration's limits into those of a connection.
func h2Limits(l *config.Limits) h2.Limits {
	out := h2.DefaultLimits()
	out.Preface = time.Duration(l.PrefaceTimeout)
	out.HeaderList = int(l.HeaderList)
	out.HeaderFields = l.HeaderFields
	out.Continuations = l.Continuations
	out.Buffered = int(l.BufferedPerConnection)
	out.Stall = time.Duration(l.StreamStall)
	// Credit that is out counts as used: it may be no more than a quarter.
	out.ConnWindow = min(out.ConnWindow, max(out.Buffered/4, out.StreamWindow))
	out.MaxWindow = min(out.MaxWindow, out.Buffered)
	return withStreams(out, l.Streams)
}

// withStreams returns limits under which a peer may have n streams open.
func withStreams(l h2.Limits, n int) h2.Limits {
	l.Streams = n
	// A deadline may end every open call at once, and those that follow.
	l.EarlyResets.Burst = 2 * n
	return l
}

func backendOptions(c *config.Backend, limits h2.Limits, budget *h2.Budget, counters *Counters) backend.Options {
	o := backend.Options{
		Name:           c.Name,
		Connections:    c.Limits.Connections,
		Pending:        c.Limits.Pending,
		Concurrent:     c.Limits.Concurrent,
		ConnectTimeout: time.Duration(c.ConnectTimeout),
		Counters:       &counters.Backend,
		H2: &h2.Options{
			Limits:            limits,
			Budget:            budget,
			Counters:          &counters.H2,
			KeepaliveInterval: time.Duration(c.Keepalive.Interval),
			KeepaliveTimeout:  time.Duration(c.Keepalive.Timeout),
			IdleTimeout:       time.Duration(c.IdleTimeout),
		},
	}
	o.H2.Limits.Preface = o.ConnectTimeout
	for _, t := range c.Targets {
		o.Targets = append(o.Targets, backend.Target{URI: t.Target, Weight: t.Weight})
	}
	balanced(&o, c)
	return o
}

// policy is how the relay treats the calls of a backend.
func policy(c *config.Backend) relay.Policy {
	p := relay.DefaultPolicy()
	p.Authority = c.Authority
	if k := c.Breaker; k != nil {
		p.MinDeadline = time.Duration(k.MinDeadline)
		p.Failures = nil
		for _, code := range k.Failures {
			p.Failures = append(p.Failures, codes.Code(code))
		}
	}
	return p
}

// bufferedTotal is what the process may buffer: an eighth of the memory that
// it may use, unless the configuration says otherwise.
func bufferedTotal(l *config.Limits) int64 {
	if l.BufferedTotal > 0 {
		return int64(l.BufferedTotal)
	}
	return memory(os.ReadFile, debug.SetMemoryLimit(-1)) / 8
}
