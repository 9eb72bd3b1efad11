//go:build linux

package systemd

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
	"loom/test/rawbytes"
)

// backend sends what it gets, and holds calls open until it is told to let them
// go.
type backend struct {
	address string
	let     chan struct{} // closed by release
	release func()
}

func serveBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{let: make(chan struct{})}
	b.release = sync.OnceFunc(func() { close(b.let) })
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawbytes.Codec{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "loom.test.Unit",
		HandlerType: (*any)(nil),
		Streams:     []grpc.StreamDesc{rawbytes.Stream("Echo", echo), rawbytes.Stream("Hold", b.hold)},
	}, b)
	b.address = daemon.Serve(t, server)
	return b
}

func echo(stream grpc.ServerStream) error {
	for {
		message, err := rawbytes.Receive(stream)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = stream.SendMsg(&message)
		}
		if err != nil {
			return err
		}
	}
}

// hold answers once, and ends when it is told to.
func (b *backend) hold(stream grpc.ServerStream) error {
	if err := stream.SendMsg(&[]byte{'h', 'e', 'l', 'd'}); err != nil {
		return err
	}
	select {
	case <-b.let:
		return nil
	case <-stream.Context().Done():
		return stream.Context().Err()
	}
}

// caller calls a loomd.
type caller struct {
	address string
	conn    *grpc.ClientConn
}

// dial makes a caller that soon tries again when nobody listens.
func dial(t *testing.T, address string) *caller {
	t.Helper()
	conn := daemon.Dial(t, address, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawbytes.Codec{})),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1, MaxDelay: 50 * time.Millisecond}, MinConnectTimeout: patience,
		}))
	return &caller{address, conn}
}

// try makes a call, and returns what is wrong with the answer.
func (c *caller) try(ctx context.Context, options ...grpc.CallOption) error {
	question, answer := []byte("question"), []byte(nil)
	if err := c.conn.Invoke(ctx, "/loom.test.Unit/Echo", &question, &answer, options...); err != nil {
		return err
	}
	if string(answer) != "question" {
		return errors.New("the answer is " + string(answer))
	}
	return nil
}

// ask makes calls until one is answered: until loomd is there again.
func (c *caller) ask(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := c.try(ctx, grpc.WaitForReady(true))
		if err == nil {
			return
		}
		if status.Code(err) != codes.Unavailable || ctx.Err() != nil {
			t.Fatalf("a call fails: %v", err)
		}
	}
}

// held is a call that the backend holds open.
type held struct {
	caller *caller
	stream grpc.ClientStream
}

func (c *caller) hold(t *testing.T) *held {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/loom.test.Unit/Hold", grpc.WaitForReady(true))
	if err != nil {
		t.Fatalf("begin a call: %v", err)
	}
	if _, err := rawbytes.Receive(stream); err != nil {
		t.Fatalf("a call that is to be held fails: %v", err)
	}
	return &held{c, stream}
}

// wantEnd checks that the call ends as the backend ends it.
func (h *held) wantEnd(t *testing.T) {
	t.Helper()
	if message, err := rawbytes.Receive(h.stream); !errors.Is(err, io.EOF) {
		t.Errorf("a call that was held ended with %q and %v, want OK", message, err)
	}
}
