package loomctl

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"loom/test/daemon"
)

// TestBesideTheDemo finds a loomd that was told nothing, without being told
// anything.
func TestBesideTheDemo(t *testing.T) {
	here := folder(t)
	t.Setenv("RUNTIME_DIRECTORY", here)
	t.Setenv("LOOM_SOCKET", "")
	listen := daemon.FreeAddress(t)
	demo := program.Start(t, "-demo", "-listen", listen)
	demo.WaitListening(t, "unix:"+filepath.Join(here, "admin.sock"))
	demo.Await(t, "loomctl routes shows calls of both routes", func() bool {
		command := exec.Command(filepath.Join(tools, "loomctl"), "routes")
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		served := 0
		for line := range strings.Lines(string(output)) {
			if f := strings.Split(line, "\t"); len(f) > 3 && f[3] != "0" {
				served++
			}
		}
		return served >= 2
	})

	// Another one on other ports serves calls, and says what it lacks.
	other := daemon.FreeAddress(t)
	second := program.Start(t, "-demo", "-listen", other)
	second.WaitListening(t, other)
	second.Await(t, "it says that the socket is taken", func() bool {
		return strings.Contains(second.Stderr(), "there is no admin socket") && strings.Contains(second.Stderr(), "another process listens there")
	})
}

// TestTwoOnOneSocket ends the second one, which leaves the first alone.
func TestTwoOnOneSocket(t *testing.T) {
	w := newWorld(t, "")
	second := program.Start(t, "-backend", w.up, "-listen", daemon.FreeAddress(t), "-admin", w.socket)
	if code := second.WaitExit(t, 20*time.Second); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if said := second.Stderr(); !strings.Contains(said, "another process listens there") || !strings.Contains(said, w.socket) || !strings.Contains(said, "-admin") {
		t.Errorf("it says %q", said)
	}
	if code, said := w.loomctl(t, nil, "status"); code != 0 {
		t.Errorf("the first one: exit code %d, %s", code, said)
	}
	w.loomd.Signal(t, syscall.SIGTERM)
	if code := w.loomd.WaitExit(t, 20*time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if _, err := os.Lstat(w.socket); err == nil {
		t.Error("the socket is left behind")
	}
	if code, said := w.loomctl(t, nil, "status"); code != 3 {
		t.Errorf("without a loomd: exit code %d, want 3: %s", code, said)
	}
}

// users are whom only root can become.
var users = []struct {
	name string
	as   syscall.Credential
	more string         // of the configuration
	open bool           // the folder and the socket are for all, so that loomd itself has to refuse
	exit map[string]int // by command
}{
	{"stranger", syscall.Credential{Uid: 65534, Gid: 65534}, "", false, map[string]int{"status": 4, "capture off": 4}},
	{"stranger at an open door", syscall.Credential{Uid: 65534, Gid: 65534}, "", true, map[string]int{"status": 4, "capture off": 4}},
	{"member", syscall.Credential{Uid: 65533, Gid: 4711}, "admin: {group: \"4711\"}\n", false, map[string]int{"status": 0, "capture off": 0, "config check /dev/null": 5}},
	{"member by a further group", syscall.Credential{Uid: 65533, Gid: 65533, Groups: []uint32{4711}}, "admin: {group: \"4711\"}\n", false, map[string]int{"status": 4}},
	{"reader", syscall.Credential{Uid: 65533, Gid: 4711}, "admin: {group: \"4711\", read_only: [\"65533\"]}\n", false, map[string]int{
		"status": 0, "routes": 0, "calls": 0, "config show": 0, "capture off": 4, "breaker open health": 4, "ui": 4, "profile heap --file -": 4, "config check /dev/null": 4,
	}},
}

// TestRightsChange edits who may do what while loomd runs.
func TestRightsChange(t *testing.T) {
	if os.Getuid() != 0 {
		return // only root can become others
	}
	member := &syscall.Credential{Uid: 65533, Gid: 4711}
	w := newWorld(t, "admin: {group: \"4711\"}\n")
	for _, step := range []struct {
		admin string
		exit  map[string]int // by command
	}{
		{`{group: "4711"}`, map[string]int{"status": 0, "capture full": 0}},
		{`{group: "4711", read_only: ["65533"]}`, map[string]int{"status": 0, "capture full": 4}},
		{`{group: "4712"}`, map[string]int{"status": 4}},
		{`{group: "4711"}`, map[string]int{"status": 0, "capture full": 0}},
	} {
		if err := os.WriteFile(w.confFile, []byte(w.config()+"admin: "+step.admin+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, said := w.loomctl(t, nil, "apply"); code != 0 {
			t.Fatalf("apply: exit code %d: %s", code, said)
		}
		for command, want := range step.exit {
			if code, said := w.loomctl(t, member, strings.Fields(command)...); code != want {
				t.Errorf("%s with %s: exit code %d, want %d: %s", command, step.admin, code, want, said)
			}
		}
	}
}

// TestUsers runs loomctl as others. A further group counts by what the system
// says of the user, not by what the process was given.
func TestUsers(t *testing.T) {
	if os.Getuid() != 0 {
		users = nil
	}
	for _, u := range users {
		t.Run(u.name, func(t *testing.T) {
			w := newWorld(t, u.more)
			if u.open {
				for _, path := range []string{w.socket, filepath.Dir(w.socket)} {
					if err := os.Chmod(path, 0o777); err != nil {
						t.Fatal(err)
					}
				}
			}
			for command, want := range u.exit {
				code, said := w.loomctl(t, &u.as, strings.Fields(command)...)
				if code != want || want == 4 && !strings.Contains(said, "permission refused") && !strings.Contains(said, "lets you look and no more") {
					t.Errorf("%s: exit code %d, want %d: %s", command, code, want, said)
				}
			}
		})
	}
	w := newWorld(t, "")
	if code, said := w.loomctl(t, nil, "capture", "off"); code != 0 {
		t.Errorf("the user of loomd itself: exit code %d, %s", code, said)
	}
	w.loomd.Await(t, "the change is logged with who made it", func() bool {
		return strings.Contains(w.loomd.Stderr(), `"msg":"admin change"`) && strings.Contains(w.loomd.Stderr(), `"method":"/loom.v1.Admin/SetCaptureMode"`)
	})
}

// TestGrpcurl talks to the socket without any of loom's own programs.
func TestGrpcurl(t *testing.T) {
	w := newWorld(t, "")
	grpcurl := func(args ...string) string {
		command := exec.Command(filepath.Join(tools, "grpcurl"), append([]string{"-plaintext", "-unix"}, args...)...)
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("grpcurl %s: %v\n%s", strings.Join(args, " "), err, output)
		}
		return string(output)
	}
	if got := grpcurl(w.socket, "list"); !strings.Contains(got, "loom.v1.Admin\n") || !strings.Contains(got, "grpc.health.v1.Health\n") {
		t.Errorf("the services are\n%s", got)
	}
	if got := grpcurl(w.socket, "describe", "loom.v1.Admin.ControlBreaker"); !strings.Contains(got, "loom.v1.ControlBreakerRequest") {
		t.Errorf("a method is described as\n%s", got)
	}
	if got := grpcurl("-d", `{"name": "rest"}`, w.socket, "loom.v1.Admin/GetRoute"); !strings.Contains(got, `"match": "every call"`) {
		t.Errorf("a route is\n%s", got)
	}
	if got := grpcurl(w.socket, "grpc.health.v1.Health/Check"); !strings.Contains(got, "SERVING") {
		t.Errorf("health is\n%s", got)
	}
}

// TestStaleSocket takes the place of a loomd that was killed.
func TestStaleSocket(t *testing.T) {
	w := newWorld(t, "")
	w.loomd.Signal(t, syscall.SIGKILL)
	w.loomd.WaitExit(t, 20*time.Second)
	if _, err := os.Lstat(w.socket); err != nil {
		t.Fatalf("the killed loomd has left no socket: %v", err)
	}
	next := program.Start(t, "-config", w.confFile, "-admin", w.socket)
	next.WaitListening(t, w.listen)
	next.WaitListening(t, "unix:"+w.socket)
	if code, said := w.loomctl(t, nil, "status"); code != 0 {
		t.Errorf("exit code %d, %s", code, said)
	}
}

// TestSlowReader watches and never reads: calls go on as if nobody did.
func TestSlowReader(t *testing.T) {
	w := newWorld(t, "")
	conn, err := grpc.NewClient("passthrough:///"+w.listen, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tail := exec.Command(filepath.Join(tools, "loomctl"), "tail", "-o", "json", "--socket", w.socket)
	pipe, err := tail.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = tail.Process.Kill()
		_ = pipe.Close()
		_ = tail.Wait()
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 1000 {
		if _, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if code, said := w.loomctl(t, nil, "status"); code != 0 {
		t.Errorf("exit code %d, %s", code, said)
	}
}
