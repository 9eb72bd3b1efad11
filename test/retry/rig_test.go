package retry

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
	"loom/test/rawbytes"
)

const method = "/loom.test.Things/Get"

// seen is a call as a backend got it.
type seen struct {
	metadata metadata.MD
	left     time.Duration // until its deadline; 0 if it has none
	question string
}

// backend is a gRPC server with one unary method, which answers as the test
// says.
type backend struct {
	address string
	server  *grpc.Server
	answer  func(ctx context.Context, stream grpc.ServerStream, n int) error // n counts the calls from 1

	mu sync.Mutex
	// guarded by mu
	calls []seen
}

// serve starts a backend; the test's cleanup stops it.
func serve(t *testing.T, answer func(ctx context.Context, stream grpc.ServerStream, n int) error) *backend {
	t.Helper()
	b := &backend{answer: answer}
	b.server = grpc.NewServer(grpc.ForceServerCodecV2(rawbytes.Codec{}), grpc.UnknownServiceHandler(b.handle))
	b.address = daemon.Serve(t, b.server)
	return b
}

func (b *backend) handle(_ any, stream grpc.ServerStream) error {
	if called, _ := grpc.MethodFromServerStream(stream); called != method {
		return status.Error(codes.Unimplemented, "loomd asks for descriptors, too")
	}
	var question []byte
	if err := stream.RecvMsg(&question); err != nil {
		return err
	}
	c := seen{question: string(question)}
	c.metadata, _ = metadata.FromIncomingContext(stream.Context())
	if deadline, ok := stream.Context().Deadline(); ok {
		c.left = time.Until(deadline)
	}
	b.mu.Lock()
	b.calls = append(b.calls, c)
	n := len(b.calls)
	b.mu.Unlock()
	return b.answer(stream.Context(), stream, n)
}

// got returns the calls so far.
func (b *backend) got() []seen {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]seen(nil), b.calls...)
}

// fine answers the question.
func fine(_ context.Context, stream grpc.ServerStream, _ int) error {
	answer := []byte("answer")
	return stream.SendMsg(&answer)
}

// start runs loomd with the backends and routes of text.
func start(t *testing.T, text string) (address string) {
	t.Helper()
	address = daemon.FreeAddress(t)
	config := daemon.WriteConfig(t, "listeners:\n  - {name: plain, address: \""+address+"\"}\n"+text)
	process := loomd.Start(t, "-config", config, "-quiet")
	process.WaitListening(t, address)
	return address
}

// dial connects without retries of the client's own.
func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawbytes.Codec{})), grpc.WithDisableRetry())
	if err != nil {
		t.Fatalf("make a client: %v", err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
	})
	return conn
}

// get makes a unary call within ten seconds.
func get(t *testing.T, conn *grpc.ClientConn, kv ...string) (answer string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	question, reply := []byte("question"), []byte(nil)
	err = conn.Invoke(metadata.AppendToOutgoingContext(ctx, kv...), method, &question, &reply)
	return string(reply), err
}

// wantStatus demands a code, and the reason of loom's ErrorInfo; empty: none.
func wantStatus(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	s := status.Convert(err)
	got := ""
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == "loom" {
			got = info.GetReason()
		}
	}
	if s.Code() != code || got != reason {
		t.Errorf("the call ended with %v, reason %q; want %v, reason %q", err, got, code, reason)
	}
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so within 20 s: %s", what)
		}
	}
}
