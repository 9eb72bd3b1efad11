// Package tls runs a real loomd between gRPC clients and servers that speak
// TLS: what each side has to prove, what it is told when it cannot, and that
// nobody notices when certificates change.
package tls

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"loom/test/daemon"
	"loom/test/rawbytes"
)

// loomd is built once for all tests of the package, with the race detector.
var loomd *daemon.Program

func TestMain(m *testing.M) { os.Exit(daemon.RunTests(m, true, &loomd)) }

const method = "/acme.v1.Things/Get"

// startServer runs a gRPC server that answers with the values of x-identity, a
// colon and the question, and returns its address.
func startServer(t *testing.T, options ...grpc.ServerOption) string {
	t.Helper()
	server := grpc.NewServer(append(options, grpc.ForceServerCodecV2(rawbytes.Codec{}), grpc.UnknownServiceHandler(answer))...)
	return daemon.Serve(t, server)
}

func answer(_ any, stream grpc.ServerStream) error {
	var question []byte
	if err := stream.RecvMsg(&question); err != nil {
		return err
	}
	who := strings.Join(metadata.ValueFromIncomingContext(stream.Context(), "x-identity"), ",")
	reply := []byte(who + ":" + string(question))
	return stream.SendMsg(&reply)
}

// start runs loomd with the text of a loom.yaml, and returns once it listens.
func start(t *testing.T, address, text string) *daemon.Process {
	t.Helper()
	process := loomd.Start(t, "-config", daemon.WriteConfig(t, text))
	process.WaitListening(t, address)
	return process
}

// edge is a loom.yaml with one listener, of which every call goes to one
// backend. Tls and backend are what stands in the two blocks.
func edge(address, tls, backend string) string {
	return fmt.Sprintf(`
listeners:
  - {name: edge, address: %q, identity_metadata: x-identity, tls: {%s}}
backends:
  main: {%s}
routes:
  - {name: everything, backend: main}
`, address, tls, backend)
}

func certificate(p daemon.Pair) string {
	return fmt.Sprintf("cert_file: %q, key_file: %q", p.Cert, p.Key)
}

func plain(backend string) string { return fmt.Sprintf("targets: [%q]", backend) }

// dial returns a gRPC client of loomd.
func dial(t *testing.T, address string, cfg *tls.Config) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(cfg)),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawbytes.Codec{})))
	if err != nil {
		t.Fatalf("make a client: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask makes a call and returns the answer.
func ask(conn *grpc.ClientConn, question string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	in, out := []byte(question), []byte(nil)
	err := conn.Invoke(ctx, method, &in, &out)
	return string(out), err
}

// over returns a gRPC client of one connection that is made already.
func over(t *testing.T, conn net.Conn) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///loom.test", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return conn, nil }),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawbytes.Codec{})))
	if err != nil {
		t.Fatalf("make a client: %v", err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}
