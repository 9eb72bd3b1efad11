package daemon

import (
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Serve runs a gRPC server until the test ends, and returns its address.
func Serve(t *testing.T, server *grpc.Server) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen for the server: %v", err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		server.Stop()
		serving.Wait()
	})
	return listener.Addr().String()
}

// Dial makes a client, in clear text unless more says otherwise, of what listens
// at address: host:port or unix:/path. It is closed when the test ends.
func Dial(t *testing.T, address string, more ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	target := address
	if !strings.HasPrefix(address, "unix:") {
		target = "passthrough:///" + address
	}
	conn, err := grpc.NewClient(target, append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, more...)...)
	if err != nil {
		t.Fatalf("make a client of %s: %v", address, err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // it may be closed already
	return conn
}
