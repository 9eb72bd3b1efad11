package load

import (
	"context"
	"fmt"

	"loom/bench/internal/row"
)

// Connects opens n connections one after the other, makes one call on each and
// closes it.
func Connects(ctx context.Context, addr string, r row.Row, n int) error {
	one := row.Row{Name: r.Name, Kind: row.Unary, Conns: 1, Streams: 1, Body: r.Body}
	for i := range n {
		if err := connectOnce(ctx, addr, one); err != nil {
			return fmt.Errorf("connection %d of %d: %w", i+1, n, err)
		}
	}
	return nil
}

func connectOnce(ctx context.Context, addr string, r row.Row) error {
	ctx, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	s, err := Open(ctx, addr, r) // which makes the call
	if err != nil {
		return err
	}
	return s.Close()
}
