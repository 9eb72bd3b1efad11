package load

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"loom/bench/internal/echo"
	"loom/bench/internal/endpoint"
	"loom/bench/internal/rawcodec"
)

// dial opens n connections, one after the other, and waits for each to be ready.
func dial(ctx context.Context, addr string, n int) ([]*grpc.ClientConn, error) {
	conns := make([]*grpc.ClientConn, 0, n)
	for range n {
		c, err := grpc.NewClient("passthrough:///"+endpoint.HostPort(addr),
			grpc.WithTransportCredentials(endpoint.Credentials(addr)),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawcodec.Codec{}), grpc.MaxCallRecvMsgSize(echo.MaxMessage)),
			grpc.WithStaticStreamWindowSize(echo.StreamWindow),
			grpc.WithStaticConnWindowSize(echo.ConnWindow),
			grpc.WithIdleTimeout(0),
			grpc.WithDisableRetry(),
		)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("dial %s: %w", addr, err), hangUp(conns))
		}
		conns = append(conns, c)
		if err := awaitReady(ctx, c); err != nil {
			return nil, errors.Join(fmt.Errorf("dial %s: %w", addr, err), hangUp(conns))
		}
	}
	return conns, nil
}

func awaitReady(ctx context.Context, c *grpc.ClientConn) error {
	c.Connect()
	for {
		state := c.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure:
			return errors.New("connection refused or broken")
		}
		if !c.WaitForStateChange(ctx, state) {
			return ctx.Err()
		}
	}
}

func hangUp(conns []*grpc.ClientConn) error {
	var errs []error
	for _, c := range conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
