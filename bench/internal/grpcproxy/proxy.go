// Package grpcproxy is the usual gRPC proxy in Go, as the bench's peer: grpc-go
// on both sides, an UnknownServiceHandler that pumps messages between the two
// streams, and a codec that leaves them encoded.
package grpcproxy

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"loom/bench/internal/echo"
	"loom/bench/internal/rawcodec"
)

var bothWays = grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// New returns a server that forwards every call to backend over one connection,
// and a function that closes that connection.
func New(backend string) (*grpc.Server, func() error, error) {
	up, err := grpc.NewClient("passthrough:///"+backend,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawcodec.Codec{}), grpc.MaxCallRecvMsgSize(echo.MaxMessage)),
		grpc.WithStaticStreamWindowSize(echo.StreamWindow),
		grpc.WithStaticConnWindowSize(echo.ConnWindow),
		grpc.WithIdleTimeout(0),
		grpc.WithDisableRetry(),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to backend: %w", err)
	}
	s := grpc.NewServer(
		grpc.ForceServerCodecV2(rawcodec.Codec{}),
		grpc.MaxRecvMsgSize(echo.MaxMessage),
		grpc.StaticStreamWindowSize(echo.StreamWindow),
		grpc.StaticConnWindowSize(echo.ConnWindow),
		grpc.UnknownServiceHandler(func(_ any, down grpc.ServerStream) error {
			return forward(down, up)
		}),
	)
	return s, up.Close, nil
}

func forward(down grpc.ServerStream, backend *grpc.ClientConn) error {
	method, ok := grpc.MethodFromServerStream(down)
	if !ok {
		return status.Error(codes.Internal, "stream without a method")
	}
	ctx, cancel := context.WithCancel(down.Context())
	defer cancel()
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		ctx = metadata.NewOutgoingContext(ctx, md)
	}
	up, err := backend.NewStream(ctx, &bothWays, method)
	if err != nil {
		return err
	}
	// It ends when downstream has, at the latest once this handler returns.
	go pumpRequests(up, down, cancel)
	return pumpReplies(down, up)
}

// pumpRequests ends the upstream call when the downstream broke off.
func pumpRequests(up grpc.ClientStream, down grpc.ServerStream, cancel func()) {
	for {
		f := new(rawcodec.Frame)
		err := down.RecvMsg(f)
		if errors.Is(err, io.EOF) {
			// An error here ends the replies too, and is told there.
			_ = up.CloseSend()
			return
		}
		if err != nil {
			cancel()
			return
		}
		if up.SendMsg(f) != nil {
			return // the reason comes with the replies
		}
	}
}

func pumpReplies(down grpc.ServerStream, up grpc.ClientStream) error {
	header, err := up.Header()
	if err == nil {
		err = down.SetHeader(header)
	}
	for err == nil {
		f := new(rawcodec.Frame)
		if err = up.RecvMsg(f); err == nil {
			err = down.SendMsg(f)
		}
	}
	down.SetTrailer(up.Trailer())
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
