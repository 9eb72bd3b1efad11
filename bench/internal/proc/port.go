package proc

import (
	"context"
	"fmt"
	"net"
	"time"
)

// PortFree reports an error when something already listens on addr.
func PortFree(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("the bench needs this port for itself: %w", err)
	}
	return l.Close()
}

// WaitListening returns once the process accepts connections on addr, or with
// an error when it ended instead or ctx is over.
func (p *Process) WaitListening(ctx context.Context, addr string) error {
	const pause = 20 * time.Millisecond
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		if ended := p.Ended(); ended != nil {
			return ended
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s to listen on %s: %w (%w)", p.name, addr, err, ctx.Err())
		case <-time.After(pause):
		}
	}
}
