package integrity

import (
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
	"loom/test/rawbytes"
	"loom/test/traffic"
)

// The services are the same; loomd reaches the second through connections that
// are cut.
const (
	steadyService = "loom.test.Steady"
	cutService    = "loom.test.Cut"
)

// backend checks every message that comes, and that no call comes twice: a
// second try is for a call that no backend has seen.
type backend struct {
	faults *traffic.Faults

	mu   sync.Mutex
	seen map[uint64]bool
}

// startBackend serves until the test ends and returns its address.
func startBackend(t *testing.T, found *traffic.Faults) string {
	t.Helper()
	b := &backend{faults: found, seen: map[uint64]bool{}}
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawbytes.Codec{}), grpc.MaxRecvMsgSize(8<<20))
	for _, name := range []string{steadyService, cutService} {
		server.RegisterService(&grpc.ServiceDesc{
			ServiceName: name,
			HandlerType: (*any)(nil),
			Streams: []grpc.StreamDesc{
				rawbytes.Stream("Unary", b.echo(0)),
				rawbytes.Stream("Chat", b.echo(0)),
				rawbytes.Stream("Upload", b.echo(3*time.Millisecond)),
				rawbytes.Stream("Flood", b.flood),
			},
		}, b)
	}
	return daemon.Serve(t, server)
}

// open takes the first message of a call.
func (b *backend) open(stream grpc.ServerStream) (*traffic.Follow, error) {
	in := &traffic.Follow{Direction: traffic.ToBackend}
	data, err := rawbytes.Receive(stream)
	if errors.Is(err, io.EOF) {
		b.faults.Addf("a call came with its end but without its message")
	}
	if err != nil {
		return nil, err
	}
	if err := b.take(in, data); err != nil {
		return nil, err
	}
	if deadline, ok := stream.Context().Deadline(); !ok || time.Until(deadline) < callLimit/2 {
		b.faults.Addf("call %x came with %v left of %v", in.Call, time.Until(deadline), callLimit)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen[in.Call] {
		method, _ := grpc.Method(stream.Context())
		b.faults.Addf("call %x of %s came twice", in.Call, method)
	}
	b.seen[in.Call] = true
	return in, nil
}

// take checks a message and ends the call if it is wrong.
func (b *backend) take(in *traffic.Follow, data []byte) error {
	if err := in.Take(data); err != nil {
		b.faults.Addf("backend: %v", err)
		return status.Error(codes.DataLoss, err.Error())
	}
	return nil
}

// echo answers each message with one of the same size and number. With a pause
// it reads slowly, which the sender has to bear.
func (b *backend) echo(pause time.Duration) func(grpc.ServerStream) error {
	return func(stream grpc.ServerStream) error {
		in, err := b.open(stream)
		if err != nil {
			return err
		}
		size := rand.IntN(4 << 10)
		for {
			reply := traffic.Message{Call: in.Call, Sequence: in.Next - 1, Total: in.Total, Direction: traffic.FromBackend}.Encode(size)
			if err := stream.SendMsg(&reply); err != nil {
				return err
			}
			data, err := rawbytes.Receive(stream)
			if errors.Is(err, io.EOF) {
				if err := in.Complete(); err != nil {
					b.faults.Addf("backend: %v", err)
				}
				return nil
			}
			if err != nil {
				return err
			}
			if err := b.take(in, data); err != nil {
				return err
			}
			time.Sleep(pause)
		}
	}
}

// flood answers one message with many, as fast as it may send.
func (b *backend) flood(stream grpc.ServerStream) error {
	in, err := b.open(stream)
	if err != nil {
		return err
	}
	total := 1 + rand.Uint32N(200)
	for sequence := range total {
		reply := traffic.Message{Call: in.Call, Sequence: sequence, Total: total, Direction: traffic.FromBackend}.Encode(rand.IntN(32 << 10))
		if err := stream.SendMsg(&reply); err != nil {
			return err
		}
	}
	return nil
}
