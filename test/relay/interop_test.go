package relay

import (
	"context"
	"io"
	"net"
	"os/exec"
	"sync"
	"testing"
	"time"

	"loom/test/daemon"
)

// interopCases are the cases of grpc-go's interop client that its interop
// server can answer over plain text. What is missing needs credentials of a
// cloud provider, or a server that tells its id (pick_first_unary), which the
// interop server does not; the client has no cases for compression.
var interopCases = []struct {
	name string
	args []string
}{
	{name: "empty_unary"},
	{name: "large_unary"},
	{name: "client_streaming"},
	{name: "server_streaming"},
	{name: "ping_pong"},
	{name: "empty_stream"},
	{name: "timeout_on_sleeping_server"},
	{name: "cancel_after_begin"},
	{name: "cancel_after_first_response"},
	{name: "status_code_and_message"},
	{name: "special_status_message"},
	{name: "custom_metadata"},
	{name: "unimplemented_method"},
	{name: "unimplemented_service"},
	{name: "orca_per_rpc", args: orcaBalancer},
	{name: "orca_oob", args: orcaBalancer},
	{name: "rpc_soak", args: []string{"-soak_iterations=100", "-soak_num_threads=4", "-soak_overall_timeout_seconds=60"}},
	{name: "channel_soak", args: []string{"-soak_iterations=50", "-soak_num_threads=2", "-soak_overall_timeout_seconds=60"}},
}

// orcaBalancer makes the client collect the load reports that the two ORCA
// cases look at.
var orcaBalancer = []string{`-service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`}

// TestInterop runs every case over TCP and over a Unix socket.
func TestInterop(t *testing.T) {
	client, server := buildInterop(t)
	backend := startInteropServer(t, server)
	relay := loomd.StartRelay(t, backend)
	listeners := []struct{ name, address string }{
		{"tcp", relay.TCP},
		// The client joins -server_host and -server_port and so cannot be
		// given a path: a few lines of forwarder bring it to the socket.
		{"unix", forwardToUnix(t, relay.Unix)},
	}
	for _, listener := range listeners {
		for _, test := range interopCases {
			t.Run(listener.name+"/"+test.name, func(t *testing.T) {
				runInterop(t, client, listener.address, append([]string{"-test_case=" + test.name}, test.args...)...)
			})
		}
	}
}

// runInterop runs the client against an address.
func runInterop(t *testing.T, client, address string, args ...string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatalf("split the address of loomd: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	run := exec.CommandContext(ctx, client, append([]string{"-server_host=" + host, "-server_port=" + port}, args...)...)
	run.Env = append(run.Environ(), "GRPC_GO_LOG_SEVERITY_LEVEL=error")
	if output, err := run.CombinedOutput(); err != nil {
		t.Errorf("interop client: %v\n%s", err, output)
	}
}

// buildInterop compiles the two programs that go.mod pins.
func buildInterop(t *testing.T) (client, server string) {
	t.Helper()
	folder := t.TempDir()
	const from = "google.golang.org/grpc/interop/"
	client, err := daemon.BuildTool(folder, "test", from+"client")
	if err != nil {
		t.Fatal(err)
	}
	server, err = daemon.BuildTool(folder, "test", from+"server")
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

// startInteropServer runs the server until the test ends and returns its
// address.
func startInteropServer(t *testing.T, server string, args ...string) string {
	t.Helper()
	address := daemon.FreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatalf("split the address of the interop server: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, server, append([]string{"-port=" + port}, args...)...)
	if err := command.Start(); err != nil {
		cancel()
		t.Fatalf("start the interop server: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		// The error says that the server was killed, which is how it ends.
		_ = command.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			if err := conn.Close(); err != nil {
				t.Fatalf("close a connection to the interop server: %v", err)
			}
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("reach the interop server: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// forwardToUnix copies bytes between a TCP port, whose address it returns, and
// a Unix socket.
func forwardToUnix(t *testing.T, path string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen for the forwarder: %v", err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			downstream, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { forward(downstream, path) })
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Errorf("close the forwarder: %v", err)
		}
		running.Wait()
	})
	return listener.Addr().String()
}

// forward copies both ways until one side ends; closing both then ends the
// other. Errors show in the call that they break.
func forward(downstream net.Conn, path string) {
	defer downstream.Close()
	upstream, err := net.Dial("unix", path)
	if err != nil {
		return
	}
	defer upstream.Close()
	var up sync.WaitGroup
	up.Go(func() {
		defer upstream.Close()
		_, _ = io.Copy(upstream, downstream)
	})
	_, _ = io.Copy(downstream, upstream)
	_ = downstream.Close()
	up.Wait()
}
