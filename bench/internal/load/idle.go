package load

import (
	"context"
	"fmt"

	"loom/bench/internal/row"
)

// Idle holds connections, and streams on them, on which nothing happens. It is
// used by one goroutine.
type Idle struct{ session Session }

// OpenIdle opens the row's connections, without a stream.
func OpenIdle(ctx context.Context, addr string, r row.Row) (*Idle, error) {
	conns, err := dial(ctx, addr, r.Conns)
	if err != nil {
		return nil, fmt.Errorf("open %d idle connections: %w", r.Conns, err)
	}
	return &Idle{Session{row: r, conns: conns}}, nil
}

// OpenStreams opens the row's streams on every connection and exchanges one
// message on each.
func (i *Idle) OpenStreams(ctx context.Context) error {
	if err := i.session.openCallers(ctx); err != nil {
		return fmt.Errorf("open %d idle streams on each of %d connections: %w", i.session.row.Streams, i.session.row.Conns, err)
	}
	return nil
}

// Close ends all streams and connections.
func (i *Idle) Close() error { return i.session.Close() }
