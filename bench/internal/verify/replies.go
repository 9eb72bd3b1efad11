// Package verify calls through a proxy as an ordinary gRPC client and looks at
// every reply, since a fast proxy that answers wrongly is not fast.
package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"loom/bench/internal/echo"
	"loom/bench/internal/endpoint"
)

// timeout bounds all checks of one proxy.
const timeout = 20 * time.Second

// Replies checks unary calls of every size of the bench, a stream of messages
// with its half-close, and that the status of a failed call arrives.
func Replies(ctx context.Context, addr string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := grpc.NewClient("passthrough:///"+endpoint.HostPort(addr),
		grpc.WithTransportCredentials(endpoint.Credentials(addr)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(echo.MaxMessage)))
	if err != nil {
		return fmt.Errorf("verify %s: %w", addr, err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for _, size := range []int{0, 100, 64 << 10, 1 << 20} {
		if err := unary(ctx, c, size); err != nil {
			return fmt.Errorf("verify %s: unary call of %d bytes: %w", addr, size, err)
		}
	}
	if err := bidi(ctx, c); err != nil {
		return fmt.Errorf("verify %s: bidi stream: %w", addr, err)
	}
	if err := failing(ctx, c); err != nil {
		return fmt.Errorf("verify %s: failing call: %w", addr, err)
	}
	return nil
}

func unary(ctx context.Context, c *grpc.ClientConn, size int) error {
	body := echo.Body(size)
	reply := new(wrapperspb.BytesValue)
	if err := c.Invoke(ctx, echo.UnaryMethod, wrapperspb.Bytes(body), reply); err != nil {
		return err
	}
	return same(reply, body)
}

func bidi(ctx context.Context, c *grpc.ClientConn) error {
	desc := grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	s, err := c.NewStream(ctx, &desc, echo.BidiMethod)
	if err != nil {
		return err
	}
	for size := range 100 {
		body := echo.Body(size * size)
		if err := s.SendMsg(wrapperspb.Bytes(body)); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		reply := new(wrapperspb.BytesValue)
		if err := s.RecvMsg(reply); err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		if err := same(reply, body); err != nil {
			return err
		}
	}
	if err := s.CloseSend(); err != nil {
		return fmt.Errorf("half-close: %w", err)
	}
	if err := s.RecvMsg(new(wrapperspb.BytesValue)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the half-close: %w", err)
	}
	return nil
}

func failing(ctx context.Context, c *grpc.ClientConn) error {
	err := c.Invoke(ctx, "/loom.bench.Echo/Missing", new(wrapperspb.BytesValue), new(wrapperspb.BytesValue))
	if status.Code(err) != codes.Unimplemented {
		return fmt.Errorf("a method that the backend lacks: %v, not UNIMPLEMENTED", err)
	}
	return nil
}

func same(reply *wrapperspb.BytesValue, body []byte) error {
	if !bytes.Equal(reply.GetValue(), body) {
		return fmt.Errorf("a reply of %d bytes differs from the message of %d bytes", len(reply.GetValue()), len(body))
	}
	return nil
}
