package relay

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"

	"loom/internal/h2"
	"loom/internal/route"
)

// failedWith reports whether the call is tried again, after an attempt that
// its caller has not heard of ended with code; fields are the answer, if there
// was one. The rules are those of gRPC's own retries (proposal A6).
func (c *Call) failedWith(b *h2.Batch, code codes.Code, fields []h2.Field) bool {
	p := c.route.Rule.Retry
	return p != nil && slices.Contains(p.On, uint32(code)) && c.tryAgain(b, p, fields)
}

// tryAgain has the call tried once more, if that is still possible and
// allowed. The lock is held, and the attempt is settled.
func (c *Call) tryAgain(b *h2.Batch, p *route.Retry, fields []h2.Field) bool {
	if c.answered || c.kept == nil || int(c.retries)+1 >= p.Attempts {
		return false
	}
	if k := c.upstream.breaker; k != nil && !k.Closed() {
		return false // it would be refused, or take the place of another probe
	}
	wait, ok := c.backoff(p, fields)
	if !ok || c.allowed > 0 && b.Now.Sub(c.started)+wait >= c.allowed {
		return false
	}
	counters := c.conn.relay.opts.Counters
	if !c.routing().budget.take(b.Now) {
		counters.RetriesOverBudget.Add(1)
		return false
	}
	counters.Retries.Add(1)
	if up := c.up(); up != nil {
		up.Reset(b, h2.CodeCancel) // it may still be sending
	}
	c.retries++
	c.try = nil
	c.times.retryAt = b.Now.Add(wait)
	c.arm()
	return true
}

// backoff returns how long to wait for the next attempt: as long as the
// backend says, or twice as long as before. ok is false when the backend wants
// none, which is also what a garbled answer of its means.
func (c *Call) backoff(p *route.Retry, fields []h2.Field) (wait time.Duration, ok bool) {
	if c.times == nil {
		c.times = new(timing)
	}
	wait, given, ok := pushbackOf(fields)
	if !ok || given {
		c.times.backoffs = 0
		return wait, ok
	}
	wait = p.Max
	if n := c.times.backoffs; n < 30 && p.Initial<<n < p.Max {
		wait = p.Initial << n
	}
	c.times.backoffs++
	return time.Duration(float64(wait) * (1 - retryJitter + 2*retryJitter*rand.Float64())), true
}

// retryJitter spreads retries over time, as A6 has it.
const retryJitter = 0.2

// pushbackOf reads grpc-retry-pushback-ms. ok is false when it is negative,
// garbled or repeated.
func pushbackOf(fields []h2.Field) (wait time.Duration, given, ok bool) {
	for i := range fields {
		if fields[i].Name != "grpc-retry-pushback-ms" {
			continue
		}
		ms, err := strconv.ParseUint(fields[i].Value, 10, 31)
		if err != nil || given {
			return 0, true, false
		}
		wait, given = time.Duration(ms)*time.Millisecond, true
	}
	return wait, given, true
}

// retry begins the next attempt, which has to be dispatched. It reports false
// if the breaker does not let it pass any more. The lock is held.
func (c *Call) retry(b *h2.Batch) bool {
	c.times.retryAt, c.times.moved = time.Time{}, b.Now
	a := &attempt{call: c}
	if rejected := a.ask(b, c.upstream); rejected != nil {
		c.reject(b, c.branch(), rejected)
		return false
	}
	c.try = a
	c.bound(b)
	return true
}

// branch returns the way that the call took.
func (c *Call) branch() *branch {
	all := c.routing().branches
	i := slices.IndexFunc(all, func(br branch) bool { return br.upstream == c.upstream })
	return &all[i]
}

// requestFields returns the fields of the request for the attempt that begins:
// as they are, unless time has been spent or taken away, or attempts went
// before.
func (c *Call) requestFields(b *h2.Batch) []h2.Field {
	fields := c.kept.fields
	if c.attempts == 0 && c.retries == 0 && !c.ours {
		return fields
	}
	out := make([]h2.Field, 0, len(fields)+2)
	before := uint64(c.retries)
	for _, f := range fields {
		switch {
		case f.Name == "grpc-timeout" && c.allowed > 0:
		case f.Name == previousAttempts && c.retries > 0:
			n, _ := strconv.ParseUint(f.Value, 10, 16) // the caller's own; a garbled one counts nothing
			before += n
		default:
			out = append(out, f)
		}
	}
	if c.allowed > 0 {
		left := c.allowed - b.Now.Sub(c.started)
		out = append(out, h2.Field{Name: "grpc-timeout", Value: formatTimeout(left)})
	}
	if c.retries > 0 {
		out = append(out, h2.Field{Name: previousAttempts, Value: strconv.FormatUint(before, 10)})
	}
	return out
}

// previousAttempts is the metadata that says how often a call was tried before.
const previousAttempts = "grpc-previous-rpc-attempts"
