package loomd

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
	"loom/test/rawbytes"
)

// backend answers loom.test.Held/Call: each message goes back once the test
// releases one, so that a test says when a call ends.
type backend struct {
	address string
	arrived chan struct{} // a message has come
	release chan struct{} // answer one message
}

func startBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{arrived: make(chan struct{}, 100), release: make(chan struct{}, 100)}
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawbytes.Codec{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "loom.test.Held",
		HandlerType: (*any)(nil),
		Streams:     []grpc.StreamDesc{rawbytes.Stream("Call", b.call)},
	}, b)
	b.address = daemon.Serve(t, server)
	return b
}

func (b *backend) call(stream grpc.ServerStream) error {
	for {
		message, err := rawbytes.Receive(stream)
		if err != nil {
			return nil //nolint:nilerr // the end of the request, or of the call
		}
		b.arrived <- struct{}{}
		select {
		case <-b.release:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
}

// client calls through loomd.
type client struct {
	conn *grpc.ClientConn
}

func dial(t *testing.T, address string) *client {
	t.Helper()
	return &client{daemon.Dial(t, address, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawbytes.Codec{})))}
}

// start begins a call and sends its first message.
func (c *client) start(t *testing.T) grpc.ClientStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/loom.test.Held/Call")
	if err != nil {
		t.Fatalf("begin a call: %v", err)
	}
	send(t, stream, "first")
	return stream
}

func send(t *testing.T, stream grpc.ClientStream, text string) {
	t.Helper()
	message := []byte(text)
	if err := stream.SendMsg(&message); err != nil {
		t.Fatalf("send %s: %v", text, err)
	}
}

func wantMessage(t *testing.T, stream grpc.ClientStream, text string) {
	t.Helper()
	message, err := rawbytes.Receive(stream)
	if err != nil {
		t.Fatalf("receive %s: %v", text, err)
	}
	if string(message) != text {
		t.Fatalf("received %q, want %q", message, text)
	}
}

// finish ends the request and returns the status of the call.
func finish(t *testing.T, stream grpc.ClientStream) *status.Status {
	t.Helper()
	if err := stream.CloseSend(); err != nil {
		t.Fatalf("end the request: %v", err)
	}
	for {
		if _, err := rawbytes.Receive(stream); errors.Is(err, io.EOF) {
			return status.New(codes.OK, "")
		} else if err != nil {
			return status.Convert(err)
		}
	}
}

// startLoomd runs loomd before the backend, with more lines for its loom.yaml,
// and returns it with its address.
func startLoomd(t *testing.T, b *backend, more string) (*daemon.Process, string) {
	t.Helper()
	address := daemon.FreeAddress(t)
	loomd := program.Start(t, "-config", daemon.WriteConfig(t, `
listeners:
  - {name: plain, address: "`+address+`"}
backends:
  held: {targets: ["`+b.address+`"]}
routes:
  - {name: all, backend: held}
`+more))
	loomd.WaitListening(t, address)
	return loomd, address
}
