package server

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	loomv1 "loom/api/loom/v1"
)

// newWithAdmin is a server with an admin socket.
func newWithAdmin(t *testing.T, at AdminSocket, more string) (*Server, *observer.ObservedLogs, error) {
	t.Helper()
	core, log := observer.New(zap.DebugLevel)
	s, err := New(parse(t, oneBackend(nobody, anyPort)+more), Options{Log: zap.New(core), Version: "v9", Admin: at})
	return s, log, err
}

func adminClient(t *testing.T, socket string) loomv1.AdminClient {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return loomv1.NewAdminClient(conn)
}

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// TestAdmin runs a server with an admin socket from its beginning to its end.
func TestAdmin(t *testing.T) {
	socket := in(socketFolder(t), "loomd/admin.sock")
	s, log, err := newWithAdmin(t, AdminSocket{Path: socket}, "admin: {group: \"0\"}\n")
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, s, log)
	if m := modeOf(t, socket); m != 0o660 {
		t.Errorf("the socket has mode %o, want 660", m)
	}
	if m := modeOf(t, filepath.Dir(socket)); m != 0o750 {
		t.Errorf("its folder has mode %o, want 750", m)
	}
	c := adminClient(t, socket)
	st, err := c.GetStatus(t.Context(), &loomv1.GetStatusRequest{})
	if err != nil || st.GetVersion() != "v9" || st.GetBackends() != 1 {
		t.Fatalf("status %v, %v", st, err)
	}
	_, err = c.GetInspectorURL(t.Context(), &loomv1.GetInspectorURLRequest{})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("the inspector that is not there: %v", err)
	}
	for backend, want := range map[string]codes.Code{"gone": codes.NotFound, "b": codes.FailedPrecondition} {
		_, err := c.ControlBreaker(t.Context(), &loomv1.ControlBreakerRequest{Backend: backend, Action: loomv1.BreakerAction_BREAKER_ACTION_OPEN})
		if status.Code(err) != want {
			t.Errorf("breaker of %s: %v, want %v", backend, err, want)
		}
	}
	// A second one says so, and leaves the first its socket.
	if _, _, err := newWithAdmin(t, AdminSocket{Path: socket}, ""); err == nil || !strings.Contains(err.Error(), "another process listens there") || !strings.Contains(err.Error(), socket) {
		t.Errorf("a second loomd on the socket: %v", err)
	}
	if _, err := c.GetStatus(t.Context(), &loomv1.GetStatusRequest{}); err != nil {
		t.Errorf("after the second one: %v", err)
	}
	r.stop()
	r.wantServed()
	if _, err := os.Lstat(socket); err == nil {
		t.Error("the socket is left behind")
	}
}

// TestAdminChosen goes on without a socket that nobody asked for.
func TestAdminChosen(t *testing.T) {
	socket := in(socketFolder(t), "admin.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, log, err := newWithAdmin(t, AdminSocket{Path: socket, Chosen: true}, "")
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, log)
	warnings := log.FilterMessageSnippet("there is no admin socket").All()
	if len(warnings) != 1 || warnings[0].ContextMap()["socket"] != socket {
		t.Errorf("the log says %v", warnings)
	}
	if _, err := os.Lstat(socket); err != nil {
		t.Errorf("the socket of the other is gone: %v", err)
	}
}

// TestAdminStale takes the place of a process that is gone.
func TestAdminStale(t *testing.T) {
	socket := in(socketFolder(t), "admin.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	s, log, err := newWithAdmin(t, AdminSocket{Path: socket}, "")
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, log)
	if _, err := adminClient(t, socket).GetStatus(context.Background(), &loomv1.GetStatusRequest{}); err != nil {
		t.Error(err)
	}
}

// TestAdminFolder keeps to folders that nobody else has in hand.
func TestAdminFolder(t *testing.T) {
	all := socketFolder(t)
	shared := func(name string) AdminSocket { return AdminSocket{Path: in(all, name+"/admin.sock"), Shared: true} }
	if err := adminFolder(shared("fresh"), -1); err != nil || modeOf(t, in(all, "fresh")) != 0o700 {
		t.Errorf("a fresh folder: %v, mode %o", err, modeOf(t, in(all, "fresh")))
	}
	if err := adminFolder(shared("fresh"), -1); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := os.Mkdir(in(all, "open"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("fresh", in(all, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"open", "link"} {
		if err := adminFolder(shared(name), -1); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := adminFolder(AdminSocket{Path: in(all, "open/admin.sock")}, -1); err != nil || modeOf(t, in(all, "open"))&0o700 != 0o700 {
		t.Errorf("a folder that is there: %v", err)
	}
	if _, err := newBinder(nil, false).listenAdmin(AdminSocket{Path: in(all, "fresh/admin.sock")}, "no-such-group-here"); err == nil {
		t.Error("a group that is not there is taken")
	}
	if _, err := newBinder(nil, false).listenAdmin(AdminSocket{Path: in(all, "gone/further/admin.sock")}, ""); err == nil {
		t.Error("a folder in one that is not there is made")
	}
}
