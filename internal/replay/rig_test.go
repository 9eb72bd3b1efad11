package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
)

// bytesCodec is that of the backend: messages are *[]byte.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "bytes" }

func (bytesCodec) Marshal(message any) (mem.BufferSlice, error) {
	data, ok := message.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("a %T", message)
	}
	return mem.BufferSlice{mem.SliceBuffer(*data)}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, message any) error {
	to, ok := message.(*[]byte)
	if !ok {
		return fmt.Errorf("a %T", message)
	}
	*to = data.Materialize()
	return nil
}

// backend notes what it gets and answers as handle says.
type backend struct {
	conn   *grpc.ClientConn
	handle func(stream grpc.ServerStream) error

	mu       sync.Mutex // guards all below
	metadata metadata.MD
	messages []string
}

// startBackend runs a backend in memory, so that it works in a bubble of
// synctest.
func startBackend(t *testing.T, handle func(grpc.ServerStream) error) *backend {
	t.Helper()
	b := &backend{handle: handle}
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.ForceServerCodecV2(bytesCodec{}), grpc.MaxRecvMsgSize(1<<30), grpc.UnknownServiceHandler(b.serve))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///backend",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	b.conn = conn
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return b
}

func (b *backend) serve(_ any, stream grpc.ServerStream) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	b.mu.Lock()
	b.metadata, b.messages = md, nil
	b.mu.Unlock()
	return b.handle(noting{stream, b})
}

// noting is a stream whose messages are noted.
type noting struct {
	grpc.ServerStream
	b *backend
}

func (n noting) RecvMsg(message any) error {
	if err := n.ServerStream.RecvMsg(message); err != nil {
		return err
	}
	n.b.mu.Lock()
	defer n.b.mu.Unlock()
	n.b.messages = append(n.b.messages, string(*message.(*[]byte)))
	return nil
}

func (b *backend) got() (metadata.MD, []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.metadata, b.messages
}

// replayer returns one for which both ways lead to the backend.
func (b *backend) replayer(limits Limits) *Replayer {
	dial := func(context.Context) (grpc.ClientConnInterface, io.Closer, error) { return b.conn, nil, nil }
	return New(Options{
		Route:  dial,
		Direct: func(ctx context.Context, _ string) (grpc.ClientConnInterface, io.Closer, error) { return dial(ctx) },
		Limits: limits,
	})
}

func receiveAll(stream grpc.ServerStream) error {
	for {
		var message []byte
		if err := stream.RecvMsg(&message); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

func sendAll(stream grpc.ServerStream, messages ...string) error {
	for _, m := range messages {
		data := []byte(m)
		if err := stream.SendMsg(&data); err != nil {
			return err
		}
	}
	return nil
}

func bytesOf(messages ...string) [][]byte {
	var out [][]byte
	for _, m := range messages {
		out = append(out, []byte(m))
	}
	return out
}

func textsOf(messages [][]byte) []string {
	var out []string
	for _, m := range messages {
		out = append(out, string(m))
	}
	return out
}
