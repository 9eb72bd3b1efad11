package adminclient

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	loomv1 "loom/api/loom/v1"
)

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

func TestPlaces(t *testing.T) {
	for _, test := range []struct {
		env    map[string]string
		uid    int
		loomd  string
		places []string
	}{
		{nil, 0, "/run/loomd/admin.sock", []string{"/run/loomd/admin.sock", "/tmp/loomd-0/admin.sock"}},
		{nil, 1000, "/tmp/loomd-1000/admin.sock", []string{"/run/loomd/admin.sock", "/tmp/loomd-1000/admin.sock"}},
		{
			map[string]string{"XDG_RUNTIME_DIR": "/run/user/1000"}, 1000, "/run/user/1000/loomd/admin.sock",
			[]string{"/run/loomd/admin.sock", "/run/user/1000/loomd/admin.sock", "/tmp/loomd-1000/admin.sock"},
		},
		{map[string]string{"XDG_RUNTIME_DIR": "relative"}, 1000, "/tmp/loomd-1000/admin.sock", []string{"/run/loomd/admin.sock", "/tmp/loomd-1000/admin.sock"}},
		{
			map[string]string{"RUNTIME_DIRECTORY": "/run/a:/run/b", "XDG_RUNTIME_DIR": "/run/user/0"}, 0, "/run/a/admin.sock",
			[]string{"/run/a/admin.sock", "/run/loomd/admin.sock", "/run/user/0/loomd/admin.sock", "/tmp/loomd-0/admin.sock"},
		},
	} {
		e := Environment{Lookup: lookup(test.env), UID: test.uid, Temp: "/tmp"}
		if got := e.Default(); got != test.loomd {
			t.Errorf("%v: loomd listens at %s, want %s", test.env, got, test.loomd)
		}
		if got := e.Places(); !slices.Equal(got, test.places) {
			t.Errorf("%v: loomctl tries %v, want %v", test.env, got, test.places)
		}
		if !slices.Contains(e.Places(), e.Default()) {
			t.Errorf("%v: loomctl never finds this loomd", test.env)
		}
	}
}

// here is an environment of its own folders.
func here(t *testing.T, env map[string]string) Environment {
	t.Helper()
	folder, err := os.MkdirTemp("", "loom") //nolint:usetesting // t.TempDir may be too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if env == nil {
		env = map[string]string{"XDG_RUNTIME_DIR": filepath.Join(folder, "user")}
	}
	return Environment{Lookup: lookup(env), UID: os.Getuid(), Temp: folder}
}

func listen(t *testing.T, socket string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(socket), mode); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

// TestFind takes the first that answers, unless one is named. The place of the
// machine's own loomd is not for tests, so what is found may be that.
func TestFind(t *testing.T) {
	e := here(t, nil)
	_, err := find(t.Context(), e.user(), e)
	nobody, ok := errors.AsType[*UnreachableError](err)
	if !ok || !slices.Equal(nobody.Tried, []string{e.user()}) || !strings.Contains(err.Error(), "tried "+e.user()) {
		t.Errorf("with nobody there: %v", err)
	}
	listen(t, e.temporary(), 0o700)
	listen(t, e.user(), 0o700)
	if got, err := find(t.Context(), e.temporary(), e); err != nil || got != e.temporary() {
		t.Errorf("named: %s, %v", got, err)
	}
	e.Lookup = lookup(map[string]string{SocketVariable: e.user()})
	if got, err := find(t.Context(), "", e); err != nil || got != e.Named() {
		t.Errorf("named by the environment: %s, %v", got, err)
	}
	e.Lookup = lookup(map[string]string{SocketVariable: filepath.Join(e.Temp, "gone")})
	if got, err := find(t.Context(), "", e); err == nil {
		t.Errorf("what was named is not there, and %s is taken", got)
	}
}

// TestFolderOfOthers is not looked into where everybody may make folders.
func TestFolderOfOthers(t *testing.T) {
	e := here(t, nil)
	listen(t, e.temporary(), 0o777)
	if err := answers(t.Context(), e.temporary(), e); err == nil || !strings.Contains(err.Error(), "others may write") {
		t.Errorf("a folder that others may write to: %v", err)
	}
	if err := os.Chmod(filepath.Dir(e.temporary()), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := answers(t.Context(), e.temporary(), e); err != nil {
		t.Errorf("an own folder: %v", err)
	}
	if err := ownFolder(filepath.Dir(e.temporary()), e.UID+1); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("a folder of another user: %v", err)
	}
}

// TestDial connects to what is no loomd: the call says so.
func TestDial(t *testing.T) {
	e := here(t, nil)
	listen(t, e.user(), 0o700)
	c, err := Dial(t.Context(), e.user(), e)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if c.Socket() != e.user() {
		t.Errorf("the socket is %s", c.Socket())
	}
	ctx, cancel := deadline(t)
	defer cancel()
	if _, err := c.GetStatus(ctx, &loomv1.GetStatusRequest{}); err == nil {
		t.Error("who never answers has a status")
	}
}

func deadline(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), 200*time.Millisecond)
}
