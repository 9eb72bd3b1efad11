// Package echo is the gRPC backend behind every proxy of the bench: it sends
// back each message as it came. Its windows are wide and it decodes nothing, so
// that it is as little of a bottleneck as grpc-go allows.
package echo

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"loom/bench/internal/rawcodec"
)

// The full names of the methods. The messages of both are
// google.protobuf.BytesValue on the wire.
const (
	UnaryMethod = "/loom.bench.Echo/Unary"
	BidiMethod  = "/loom.bench.Echo/Bidi"
)

// MaxMessage is the largest message that passes, in bytes.
const MaxMessage = 8 << 20

// Windows, in bytes, so wide that flow control stays out of the figures.
const (
	StreamWindow = 4 << 20
	ConnWindow   = 64 << 20
)

// NewServer returns a server with the echo service registered, and options on
// top of its own.
func NewServer(options ...grpc.ServerOption) *grpc.Server {
	s := grpc.NewServer(append(options,
		grpc.ForceServerCodecV2(rawcodec.Codec{}),
		grpc.MaxRecvMsgSize(MaxMessage),
		grpc.StaticStreamWindowSize(StreamWindow),
		grpc.StaticConnWindowSize(ConnWindow),
		grpc.MaxConcurrentStreams(100_000),
	)...)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "loom.bench.Echo",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: unary}},
		Streams:     []grpc.StreamDesc{{StreamName: "Bidi", Handler: bidi, ServerStreams: true, ClientStreams: true}},
	}, nil)
	return s
}

//nolint:revive // the order of the parameters is grpc's
func unary(_ any, _ context.Context, receive func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	f := new(rawcodec.Frame)
	if err := receive(f); err != nil {
		return nil, err
	}
	return f, nil
}

func bidi(_ any, stream grpc.ServerStream) error {
	for {
		f := new(rawcodec.Frame)
		err := stream.RecvMsg(f)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.SendMsg(f); err != nil {
			return err
		}
	}
}
