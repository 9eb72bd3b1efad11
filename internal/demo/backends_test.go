package demo

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	shopv1 "loom/internal/demo/shop/v1"
	"loom/internal/loomtest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
)

func TestMain(m *testing.M) { os.Exit(loomtest.CheckLeaksMain(m)) }

// testPatience bounds what should take a moment, on the busiest machine.
const testPatience = 30 * time.Second

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	t.Cleanup(cancel)
	return ctx
}

func startBackends(t *testing.T, options ...BackendOption) *Backends {
	t.Helper()
	b, err := StartBackends(testContext(t), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func dial(t *testing.T, address string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// wantCode fails the test unless err is a status of that code.
func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Fatalf("got %v (%v), want %v", got, err, want)
	}
}

func TestBackendsListenOnTheLoopback(t *testing.T) {
	b := startBackends(t)
	for _, address := range []string{b.Shop(), b.Pay()} {
		host, port, err := net.SplitHostPort(address)
		if err != nil || !net.ParseIP(host).IsLoopback() || port == "0" {
			t.Errorf("%q is no address on the loopback (%v)", address, err)
		}
	}
	if b.Shop() == b.Pay() {
		t.Errorf("both backends are at %s", b.Shop())
	}
}

func TestBackendsAreHealthy(t *testing.T) {
	b := startBackends(t)
	for _, address := range []string{b.Shop(), b.Pay()} {
		got, err := grpc_health_v1.NewHealthClient(dial(t, address)).Check(testContext(t), &grpc_health_v1.HealthCheckRequest{})
		if err != nil || got.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%s is %v (%v)", address, got.GetStatus(), err)
		}
	}
}

func TestBackendsReflect(t *testing.T) {
	b := startBackends(t)
	for service, address := range map[string]string{
		"demo.shop.v1.Orders": b.Shop(), "demo.pay.v1.Ledger": b.Pay(),
	} {
		conn := dial(t, address)
		if got := listServices(t, conn); !slices.Contains(got, service) {
			t.Errorf("reflection lists %q, without %s", got, service)
		}
		if got := listServicesV1Alpha(t, conn); !slices.Contains(got, service) {
			t.Errorf("reflection v1alpha lists %q, without %s", got, service)
		}
	}
}

func listServices(t *testing.T, conn *grpc.ClientConn) []string {
	t.Helper()
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
	}); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range answer.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	return names
}

//nolint:staticcheck // the deprecated version is what is tested
func listServicesV1Alpha(t *testing.T, conn *grpc.ClientConn) []string {
	t.Helper()
	stream, err := reflectionv1alpha.NewServerReflectionClient(conn).ServerReflectionInfo(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionv1alpha.ServerReflectionRequest{
		MessageRequest: &reflectionv1alpha.ServerReflectionRequest_ListServices{},
	}); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range answer.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	return names
}

func TestCloseCutsOpenCalls(t *testing.T) {
	b := startBackends(t)
	stream, err := shopv1.NewOrdersClient(dial(t, b.Shop())).Track(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&shopv1.TrackRequest{OrderId: "ord-1000"}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the open call ended with %v", err)
	}
	if _, err := net.DialTimeout("tcp", b.Shop(), time.Second); err == nil {
		t.Error("the backend still listens")
	}
}

func TestBackendsRefuseEmptySpells(t *testing.T) {
	for _, s := range [][2]time.Duration{{0, 0}, {-1, 2}, {2, -1}} {
		if b, err := StartBackends(t.Context(), Spells(s[0], s[1])); err == nil {
			t.Errorf("spells of %v are accepted (%v)", s, b.Close())
		}
	}
}
