package apply

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
)

// Each kind of change is in force soon after the file is written, and shows in
// what loomd does.
func TestEveryKindOfEdit(t *testing.T) {
	w, p := newWorld(t)
	conn := daemon.Dial(t, w.listen)
	answers := func(method string, code codes.Code, by string) func() bool {
		return func() bool {
			answer, err := call(t.Context(), conn, method, "hello")
			return status.Code(err) == code && (code != codes.OK || answer == by+" hello")
		}
	}
	next := p
	steps := []struct {
		name string
		edit func()
		seen func() bool
	}{
		{"a backend and a route to it", func() {
			next.backends += fmt.Sprintf(", b: {targets: [%q]}", w.other)
			next.routes = "{name: all, backend: b}"
		}, answers(echoMethod, codes.OK, "other")},
		{"a route that denies", func() {
			next.routes = "{name: no, match: {method: Call}, deny: PERMISSION_DENIED}, {name: all, backend: b}"
		}, answers(echoMethod, codes.PermissionDenied, "")},
		{"the targets of a backend", func() {
			next.routes = "{name: all, backend: a}"
			next.backends = fmt.Sprintf("a: {targets: [%q], breaker: {trip: {consecutive: 1}, open_for: 1h, max_open_for: 2h}}", w.other)
		}, answers(echoMethod, codes.OK, "other")},
		{"a limit of the capture", func() { next.rest = "capture: {mode: metadata}\n" }, func() bool {
			return strings.HasPrefix(w.status("capture"), "metadata, ")
		}},
		{"limits", func() { next.rest += "limits: {streams: 17}\n" }, func() bool { return w.has("limits.streams: 17") }},
		{"the log", func() { next.rest += "log: {level: debug}\n" }, func() bool { return w.has("log.level: debug") }},
	}
	for _, step := range steps {
		step.edit()
		w.edit(next, step.seen)
	}

	// A breaker that is open stays so through edits of other things.
	if !answers(failMethod, codes.Unavailable, "")() {
		t.Fatal("the call did not fail")
	}
	isOpen := func() bool {
		_, out, _ := w.ctl("breaker", "status")
		return strings.HasPrefix(out, "a\topen\t")
	}
	w.soon("the breaker is open", isOpen)
	next.rest = "limits: {streams: 18}\n"
	w.edit(next, func() bool { return w.has("limits.streams: 18") })
	if !isOpen() || !answers(echoMethod, codes.Unavailable, "")() {
		t.Error("the breaker is closed by an edit of something else")
	}
}

// Listeners come and go; a stream on one that goes is heard to its end.
func TestListenersComeAndGo(t *testing.T) {
	w, p := newWorld(t)
	extra := daemon.FreeAddress(t)
	next := p
	next.listeners += fmt.Sprintf(", {name: extra, address: %q}", extra)
	reached := func() bool {
		conn, err := net.Dial("tcp", extra)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	w.edit(next, reached)
	conn := daemon.Dial(t, extra)
	open := openChat(t, conn)
	open.say("first")
	w.edit(p, func() bool { _, err := net.Dial("tcp", extra); return errors.Is(err, syscall.ECONNREFUSED) })
	open.say("first")
	open.end()
	if _, err := call(t.Context(), daemon.Dial(t, w.listen), echoMethod, "hello"); err != nil {
		t.Error(err)
	}
}

// A backend is removed while a stream is open on it: the stream goes on to its
// end.
func TestBackendRemovedUnderAStream(t *testing.T) {
	w, p := newWorld(t)
	conn := daemon.Dial(t, w.listen)
	open := openChat(t, conn)
	open.say("first")
	next := p
	next.backends, next.routes = fmt.Sprintf("b: {targets: [%q]}", w.other), "{name: all, backend: b}"
	w.edit(next, func() bool {
		answer, err := call(t.Context(), conn, echoMethod, "hello")
		return err == nil && answer == "other hello"
	})
	for range 10 {
		open.say("first")
	}
	open.end()
	if _, out, _ := w.ctl("backends"); !strings.HasPrefix(out, "b\t") || strings.Contains(out, "\na\t") {
		t.Errorf("backends %s", out)
	}
}

// Whatever way an editor saves, the edit is in force soon.
func TestWaysOfSaving(t *testing.T) {
	w, p := newWorld(t)
	for i, save := range []struct {
		name string
		save func(path, text string) error
	}{
		{"in place", func(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }},
		{"renamed over", func(path, text string) error {
			return errors.Join(os.WriteFile(path+".tmp", []byte(text), 0o600), os.Rename(path+".tmp", path))
		}},
		{"the old one put aside", func(path, text string) error {
			return errors.Join(os.Rename(path, path+"~"), os.WriteFile(path, []byte(text), 0o600), os.Remove(path+"~"))
		}},
		{"gone for a moment", func(path, text string) error {
			err := os.Remove(path)
			time.Sleep(100 * time.Millisecond)
			return errors.Join(err, os.WriteFile(path, []byte(text), 0o600))
		}},
		{"as a ConfigMap", func(path, text string) error {
			dir := filepath.Dir(path)
			return errors.Join(os.Mkdir(filepath.Join(dir, "..1"), 0o700), os.WriteFile(filepath.Join(dir, "..1", "loom.yaml"), []byte(text), 0o600),
				os.Symlink("..1", filepath.Join(dir, "..data")), os.Remove(path), os.Symlink(filepath.Join("..data", "loom.yaml"), path))
		}},
		{"a ConfigMap that is swapped", func(path, text string) error {
			dir := filepath.Dir(path)
			return errors.Join(os.Mkdir(filepath.Join(dir, "..2"), 0o700), os.WriteFile(filepath.Join(dir, "..2", "loom.yaml"), []byte(text), 0o600),
				os.Symlink("..2", filepath.Join(dir, "..next")), os.Rename(filepath.Join(dir, "..next"), filepath.Join(dir, "..data")), os.RemoveAll(filepath.Join(dir, "..1")))
		}},
	} {
		p.rest = fmt.Sprintf("limits: {streams: %d}\n", 100+i)
		if err := save.save(w.file, w.text(p)); err != nil {
			t.Fatalf("%s: %v", save.name, err)
		}
		w.soon("saved "+save.name, func() bool { return w.has(fmt.Sprintf("limits.streams: %d", 100+i)) })
	}
	if got := w.figure("loom_config_refused_total"); got != "0" {
		t.Errorf("%s files were refused", got)
	}
}

// A file with a mistake is kept out and shown everywhere until it is mended.
func TestWrongFile(t *testing.T) {
	w, p := newWorld(t)
	conn := daemon.Dial(t, w.listen)
	wrong := p
	wrong.routes = "{name: all, backend: nobody}"
	w.write(wrong)
	const want = `loom.yaml:3:31: there is no backend "nobody"`
	w.loomd.Await(t, "the problem is shown", func() bool { return strings.Contains(w.problem(), want) })
	if !strings.HasPrefix(w.problem(), "since ") {
		t.Errorf("status says %q", w.problem())
	}
	if _, out, _ := w.ctl("config", "show", "-o", "json"); !strings.Contains(out, "there is no backend") {
		t.Errorf("config show says %s", out)
	}
	if got := w.figure("loom_config_problem"); got != "1" {
		t.Errorf("the metric says %q", got)
	}
	if code, _, said := w.ctl("apply"); code != 5 || !strings.Contains(said, want) {
		t.Errorf("loomctl apply ends with %d: %s", code, said)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := call(ctx, conn, echoMethod, "hello"); err != nil {
		t.Errorf("a call: %v", err)
	}
	time.Sleep(3 * time.Second) // longer than it takes to be looked at again
	if n := strings.Count(w.loomd.Stderr(), "the configuration is not applied"); n != 1 {
		t.Errorf("%d lines in the log, want 1", n)
	}
	w.write(p)
	w.soon("nothing is wrong any more", func() bool { return w.problem() == "" && w.figure("loom_config_problem") == "0" })
}

// What a running process cannot change is refused by name, and with it all that
// was edited with it.
func TestRefusedEdit(t *testing.T) {
	w, p := newWorld(t)
	p.rest = "admin: {socket: /run/other.sock}\nlimits: {streams: 17}\n"
	w.write(p)
	code, _, said := w.ctl("apply")
	const want = "admin.socket: (none) -> /run/other.sock cannot be changed in a running process: run 'loomctl reload'"
	if code != 1 || said != "loomctl: "+want+"\n" {
		t.Errorf("loomctl apply ends with %d: %s", code, said)
	}
	w.loomd.Await(t, "the problem is shown", func() bool { return strings.HasSuffix(w.problem(), want) })
	if w.has("limits.streams: 17") {
		t.Error("a part of it is in force")
	}
}
