package relay

import (
	"google.golang.org/grpc/codes"

	"loom/internal/h2"
)

// CutOff answers the calls that are open on a downstream connection with
// UNAVAILABLE and the reason DRAIN_TIMEOUT: as trailers where the answer has
// begun, Trailers-Only where it has not. What waits to be sent goes first. A
// call that begins at this moment may be left out. It is safe for concurrent
// use, the batch aside.
func (r *Relay) CutOff(b *h2.Batch, conn *h2.Conn) {
	for _, recv := range conn.Receivers() {
		if d, ok := recv.(*downLeg); ok && d.begun.Load() {
			(*Call)(d).cutOff(b)
		}
	}
}

// cutOff ends a call that went on for as long as the process may drain.
func (c *Call) cutOff(b *h2.Batch) {
	c.mu.Lock()
	if c.waits() {
		// Nobody is to serve an attempt that is given up.
		c.mu.Unlock()
		c.upstream.Forget(c)
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	switch {
	case c.reported:
	case !c.request.grpc:
		c.answerNotGRPC(b)
	default:
		c.answer(b, &refusal{codes.Unavailable, ReasonDrainTimeout, "loomd stops, and the call did not end within restart.drain"})
	}
}
