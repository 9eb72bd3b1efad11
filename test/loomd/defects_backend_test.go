package loomd

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // answers as it was asked
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
	"loom/test/rawbytes"
)

// The methods of the service that the defects are tried with.
const (
	echo = "/loom.test.Defects/Echo"
	fail = "/loom.test.Defects/Fail"
)

// largest is what the backend and its callers take in one message.
const largest = 64 << 20

// service is a backend whose reflection never answers, or that has none.
type service struct {
	address string
	failed  atomic.Int64 // calls of Fail
	asked   atomic.Int64 // for its reflection
	closing chan struct{}
}

func startService(t *testing.T, hangingReflection bool) *service {
	t.Helper()
	b := &service{closing: make(chan struct{})}
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawbytes.Codec{}), grpc.MaxRecvMsgSize(largest))
	register := func(name string, methods ...grpc.StreamDesc) {
		server.RegisterService(&grpc.ServiceDesc{ServiceName: name, HandlerType: (*any)(nil), Streams: methods}, b)
	}
	register("loom.test.Defects", rawbytes.Stream("Echo", b.echo), rawbytes.Stream("Fail", b.fail))
	if hangingReflection {
		register("grpc.reflection.v1.ServerReflection", rawbytes.Stream("ServerReflectionInfo", b.hang))
		register("grpc.reflection.v1alpha.ServerReflection", rawbytes.Stream("ServerReflectionInfo", b.hang))
	}
	b.address = daemon.Serve(t, server)
	t.Cleanup(func() { close(b.closing) })
	return b
}

// echo sends each message back, and says in its headers what metadata came.
func (b *service) echo(stream grpc.ServerStream) error {
	came, _ := grpcmetadata.FromIncomingContext(stream.Context())
	err := stream.SendHeader(grpcmetadata.Pairs("x-came-type", strings.Join(came["content-type"], ","), "x-twice", "1", "x-twice", "2"))
	if err != nil {
		return err
	}
	stream.SetTrailer(grpcmetadata.Pairs("x-came-tenant", strings.Join(came["x-tenant"], ",")))
	for {
		message, err := rawbytes.Receive(stream)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
}

// fail answers with nothing but a status.
func (b *service) fail(grpc.ServerStream) error {
	b.failed.Add(1)
	with, err := status.New(codes.NotFound, "there is no user 7").WithDetails(&errdetails.ErrorInfo{Reason: "NO_SUCH_USER", Domain: "loom.test"})
	if err != nil {
		return err
	}
	return with.Err()
}

// hang takes a question and leaves it.
func (b *service) hang(stream grpc.ServerStream) error {
	b.asked.Add(1)
	select {
	case <-b.closing:
	case <-stream.Context().Done():
	}
	return stream.Context().Err()
}
