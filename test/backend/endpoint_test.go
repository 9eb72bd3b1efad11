package backend

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"loom/test/daemon"
)

// endpointVariable has the address of the service, and "failing" if its calls
// fail, when the test binary is an endpoint.
const endpointVariable = "LOOM_TEST_BACKEND_ENDPOINT"

// whoMethod answers with the address of the endpoint.
const whoMethod = "/loom.test.Backend/Who"

func runEndpoint(how string) error {
	address, mood, _ := strings.Cut(how, " ")
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for calls: %w", err)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != nil {
			return err
		}
		if mood == "failing" {
			return status.Error(codes.Internal, "in a bad mood")
		}
		return stream.SendMsg(wrapperspb.String(address))
	}))
	healthpb.RegisterHealthServer(server, health.NewServer())
	return server.Serve(l)
}

// endpoint is a process that serves, as a test sees it.
type endpoint struct {
	*daemon.Self

	t       *testing.T
	address string
}

func startEndpoint(t *testing.T, mood string) *endpoint {
	t.Helper()
	e := &endpoint{t: t, address: daemon.FreeAddress(t)}
	e.start(mood)
	return e
}

// start runs the process, and waits until it listens.
func (e *endpoint) start(mood string) {
	e.t.Helper()
	e.Self = daemon.StartSelf(e.t, endpointVariable, e.address+" "+mood)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", e.address); err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(end) {
			e.t.Fatalf("the endpoint %s does not listen", e.address)
		}
	}
}
