package loomctl

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"loom/test/daemon"
)

// world is a loomd with a backend that knows how it is, and one that is not
// there.
type world struct {
	loomd               *daemon.Process
	folder, socket      string
	listen, up, gone    string
	inspector, confFile string
}

// newWorld starts a loomd, with more in its configuration.
func newWorld(t *testing.T, more string) *world {
	t.Helper()
	w := &world{
		folder: folder(t), listen: daemon.FreeAddress(t), up: serveHealth(t), gone: daemon.FreeAddress(t), inspector: daemon.FreeAddress(t),
	}
	w.start(t, more)
	return w
}

// start runs loomd, with more in its configuration.
func (w *world) start(t *testing.T, more string) {
	t.Helper()
	w.socket, w.confFile = filepath.Join(w.folder, "run", "admin.sock"), filepath.Join(w.folder, "loom.yaml")
	if err := os.WriteFile(w.confFile, []byte(w.config()+more), 0o644); err != nil {
		t.Fatal(err)
	}
	w.loomd = program.Start(t, "-config", w.confFile, "-admin", w.socket)
	w.loomd.WaitListening(t, w.listen)
	w.loomd.WaitListening(t, "unix:"+w.socket)
}

func (w *world) config() string {
	return `listeners: [{name: plain, address: "` + w.listen + `"}]
backends:
  health: {targets: ["` + w.up + `"], breaker: {}}
  gone: {targets: ["` + w.gone + `"], connect_timeout: 1s}
routes:
  - {name: no, match: {service: test.No}, deny: PERMISSION_DENIED}
  - {name: lost, match: {service: test.Lost}, backend: gone}
  - {name: shared, match: {service: test.Shared}, backends: [{name: health, weight: 3}, {name: gone, weight: 1}]}
  - {name: rest, backend: health}
inspector: {address: "` + w.inspector + `"}
`
}

// folder is one whose name is short enough for a Unix socket, and into which
// anybody may look.
func folder(t *testing.T) string {
	t.Helper()
	name, err := os.MkdirTemp("", "loom") //nolint:usetesting // t.TempDir may be too long for a socket
	if err == nil {
		err = os.Chmod(name, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(name) })
	return name
}

func serveHealth(t *testing.T) string {
	t.Helper()
	s, h := grpc.NewServer(), health.NewServer()
	grpc_health_v1.RegisterHealthServer(s, h)
	reflection.Register(s)
	return daemon.Serve(t, s)
}

// call makes calls of which it is known how they end: three are answered OK,
// one with NOT_FOUND, one is denied.
func (w *world) call(t *testing.T) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+w.listen, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range 3 {
		if _, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "nobody"}); err == nil {
		t.Fatal("a service that is not there is healthy")
	}
	if err := conn.Invoke(ctx, "/test.No/Call", &grpc_health_v1.HealthCheckRequest{}, &grpc_health_v1.HealthCheckResponse{}); err == nil {
		t.Fatal("a call that is to be denied is answered")
	}
}

// loomctl runs the command as a user, and returns its exit code and what it
// said.
func (w *world) loomctl(t *testing.T, as *syscall.Credential, args ...string) (code int, said string) {
	t.Helper()
	command := exec.Command(filepath.Join(tools, "loomctl"), args...)
	command.Env = append(os.Environ(), "LOOM_SOCKET="+w.socket)
	command.Dir = "/"
	if as != nil {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	}
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return command.ProcessState.ExitCode(), string(output)
}
