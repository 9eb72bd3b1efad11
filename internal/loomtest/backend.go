package loomtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

// Backend is a gRPC server of grpc-go made of functions. Messages are bytes: it
// knows no schema, and answers every method. Functions must not change once
// Serve was called; they are called concurrently.
type Backend struct {
	// Unary answers a call of which the whole request is one message. It is
	// used when Stream is nil.
	Unary func(ctx context.Context, method string, request []byte) ([]byte, error)
	// Stream answers a call of any kind. A nil error ends it with status OK.
	Stream func(method string, call ServerCall) error
	// Options are handed to grpc.NewServer.
	Options []grpc.ServerOption
}

// ServerCall is a call as a Backend sees it.
type ServerCall struct{ grpc.ServerStream }

// Recv returns the next message of the request, io.EOF at its end.
func (c ServerCall) Recv() ([]byte, error) {
	var msg []byte
	err := c.RecvMsg(&msg)
	return msg, err
}

// Send sends a message of the answer.
func (c ServerCall) Send(msg []byte) error { return c.SendMsg(&msg) }

// Serve serves on ln until the test ends.
func (b *Backend) Serve(t testing.TB, ln net.Listener) {
	t.Helper()
	server := grpc.NewServer(append([]grpc.ServerOption{
		grpc.ForceServerCodecV2(Codec{}),
		grpc.UnknownServiceHandler(b.handle),
	}, b.Options...)...)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("backend: serve: %v", err)
		}
	})
}

func (b *Backend) handle(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	call := ServerCall{stream}
	if b.Stream != nil {
		return b.Stream(method, call)
	}
	request, err := call.Recv()
	if err != nil {
		return err
	}
	answer, err := b.Unary(stream.Context(), method, request)
	if err != nil {
		return err
	}
	return call.Send(answer)
}

// NewClient returns a gRPC client of grpc-go whose messages are []byte: for
// Invoke and NewStream arguments are of type *[]byte. All of its connections
// come from dial. The test's cleanup closes it.
func NewClient(t testing.TB, dial func(context.Context, string) (net.Conn, error), opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///loom.test", append([]grpc.DialOption{
		grpc.WithContextDialer(dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(Codec{})),
	}, opts...)...)
	if err != nil {
		t.Fatalf("make a gRPC client: %v", err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

// Codec passes messages of type *[]byte through as they are.
type Codec struct{}

// Name implements encoding.CodecV2. It is protobuf's, so that the content type
// is the usual one.
func (Codec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	msg, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("marshal a %T: want *[]byte", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*msg)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	msg, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("unmarshal into a %T: want *[]byte", v)
	}
	*msg = data.Materialize()
	return nil
}
