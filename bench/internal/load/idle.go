package load

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"

	"loom/bench/internal/row"
)

// Idle holds connections, and streams on them, on which nothing happens.
type Idle struct {
	row    row.Row
	conns  []*grpc.ClientConn
	cancel context.CancelFunc // ends the streams; nil while there are none
}

// OpenIdle opens the row's connections, without a stream.
func OpenIdle(ctx context.Context, addr string, r row.Row) (*Idle, error) {
	conns, err := dial(ctx, addr, r.Conns)
	if err != nil {
		return nil, fmt.Errorf("open %d idle connections: %w", r.Conns, err)
	}
	return &Idle{row: r, conns: conns}, nil
}

// OpenStreams opens the row's streams on every connection and exchanges one
// message on each.
func (i *Idle) OpenStreams(ctx context.Context) error {
	ctx, i.cancel = context.WithCancel(ctx)
	if _, err := warmCallers(ctx, i.conns, i.row); err != nil {
		return fmt.Errorf("open %d idle streams on each of %d connections: %w", i.row.Streams, i.row.Conns, err)
	}
	return nil
}

// Close ends all streams and connections.
func (i *Idle) Close() error {
	if i.cancel != nil {
		i.cancel()
	}
	if err := hangUp(i.conns); err != nil {
		return errors.Join(errors.New("close idle connections"), err)
	}
	return nil
}
