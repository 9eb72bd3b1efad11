package loomd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"loom/test/daemon"
)

// page asks the inspector of a loomd as a browser does that has logged in.
type page struct {
	base    string // http://host:port
	cookies []*http.Cookie
}

var inspectorLine = regexp.MustCompile(`(?m)^Inspector: (http://\S+)$`)

// openPage goes to the address that loomd prints.
func openPage(t *testing.T, loomd *daemon.Process) *page {
	t.Helper()
	var found []string
	loomd.Await(t, "loomd says where the inspector is", func() bool {
		found = inspectorLine.FindStringSubmatch(loomd.Stderr())
		return found != nil
	})
	at, err := url.Parse(found[1])
	if err != nil {
		t.Fatalf("read where the inspector is: %v", err)
	}
	p := &page{base: "http://" + at.Host}
	status, _, cookies := p.ask(t, http.MethodGet, at.RequestURI())
	if status != http.StatusSeeOther || len(cookies) != 1 {
		t.Fatalf("%s answers with %d and the cookies %v", found[1], status, cookies)
	}
	p.cookies = cookies
	return p
}

func (p *page) ask(t *testing.T, method, path string) (status int, body []byte, cookies []*http.Cookie) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, p.base+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatalf("make a request: %v", err)
	}
	q.Close = true
	q.Header.Set("Content-Type", "application/json")
	for _, c := range p.cookies {
		q.AddCookie(c)
	}
	answer, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		t.Fatalf("ask for %s: %v", path, err)
	}
	defer answer.Body.Close()
	if body, err = io.ReadAll(answer.Body); err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	return answer.StatusCode, body, answer.Cookies()
}

// get reads a page of the API into v.
func (p *page) get(t *testing.T, path string, v any) {
	t.Helper()
	status, body, _ := p.ask(t, http.MethodGet, path)
	if status != http.StatusOK {
		t.Fatalf("%s: status %d, %s", path, status, body)
	}
	if err := json.Unmarshal(body, v); err != nil {
		t.Fatalf("read %s: %v in %s", path, err, body)
	}
}

// ids are those of the calls in the list that have ended.
func (p *page) ids(t *testing.T) []string {
	t.Helper()
	var list struct {
		Calls []struct{ ID, State, By string }
	}
	p.get(t, "/api/calls", &list)
	var ids []string
	for _, c := range list.Calls {
		if c.By != "" {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// wantCalls waits for so many ended calls in the list.
func (p *page) wantCalls(t *testing.T, loomd *daemon.Process, n int) (ids []string) {
	t.Helper()
	loomd.Await(t, "the list has the calls", func() bool {
		ids = p.ids(t)
		return len(ids) == n
	})
	return ids
}

// raw returns the first request message of a call, as it was stored.
func (p *page) raw(t *testing.T, id string) (status int, body string) {
	t.Helper()
	status, all, _ := p.ask(t, http.MethodGet, "/api/calls/"+id+"/raw/request/1")
	return status, string(all)
}

// whole makes a call from beginning to end, of which the request is the word "first".
func (b *backend) whole(t *testing.T, address string) {
	t.Helper()
	stream := dial(t, address).start(t)
	<-b.arrived
	b.release <- struct{}{}
	wantMessage(t, stream, "first")
	if err := stream.CloseSend(); err != nil {
		t.Fatalf("end the request: %v", err)
	}
	if err := stream.RecvMsg(new([]byte)); !errors.Is(err, io.EOF) {
		t.Fatalf("end of the call: %v", err)
	}
}

// startWatched runs loomd with an inspector before the backend, as the flags say.
func startWatched(t *testing.T, b *backend, flags ...string) (loomd *daemon.Process, address string) {
	t.Helper()
	address = daemon.FreeAddress(t)
	loomd = program.Start(t, append([]string{"-backend", b.address, "-listen", address, "-inspector", daemon.FreeAddress(t)}, flags...)...)
	loomd.WaitListening(t, address)
	return loomd, address
}

// stop ends loomd in order.
func stop(t *testing.T, loomd *daemon.Process) {
	t.Helper()
	loomd.Signal(t, syscall.SIGTERM)
	if code := loomd.WaitExit(t, 20*time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestCapture records as much as the flag says.
func TestCapture(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for _, test := range []struct {
		flags  []string
		mode   string
		calls  bool
		bodies bool
	}{
		{nil, "full", true, true},
		{[]string{"-capture", "full"}, "full", true, true},
		{[]string{"-capture", "metadata"}, "metadata", true, false},
		{[]string{"-capture", "off"}, "off", false, false},
	} {
		t.Run(strings.Join(test.flags, " "), func(t *testing.T) {
			b := startBackend(t)
			loomd, address := startWatched(t, b, test.flags...)
			p := openPage(t, loomd)
			var session struct {
				ReadOnly bool
				Capture  struct{ Mode string }
			}
			if p.get(t, "/api/session", &session); session.Capture.Mode != test.mode || session.ReadOnly {
				t.Errorf("the inspector says %+v, want the mode %s", session, test.mode)
			}
			b.whole(t, address)
			if !test.calls {
				// The line of the call is printed after it would have been recorded.
				loomd.Await(t, "the line of the call is printed", func() bool { return strings.Contains(loomd.Stdout(), "loom.test.Held/Call") })
				if ids := p.ids(t); len(ids) != 0 {
					t.Errorf("calls %v are recorded", ids)
				}
				return
			}
			ids := p.wantCalls(t, loomd, 1)
			status, body := p.raw(t, ids[0])
			if has := status == http.StatusOK && body == "first"; has != test.bodies {
				t.Errorf("the message is there with %d: %q", status, body)
			}
		})
	}
}

// TestSession has the calls of one run in the list of the next.
func TestSession(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	t.Setenv("STATE_DIRECTORY", "")
	b := startBackend(t)
	loomd, address := startWatched(t, b, "-session", "night")
	b.whole(t, address)
	b.whole(t, address)
	before := openPage(t, loomd).wantCalls(t, loomd, 2)
	stop(t, loomd)

	err := filepath.WalkDir(state, func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && name != state && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("others may look into %s: %v", name, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatalf("look at the session files: %v", err)
	}

	loomd, address = startWatched(t, b, "-session", "night")
	p := openPage(t, loomd)
	if after := p.wantCalls(t, loomd, 2); strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("calls %v after the restart, want %v", after, before)
	}
	if status, body := p.raw(t, before[0]); status != http.StatusOK || body != "first" {
		t.Errorf("a message of the run before: %d, %q", status, body)
	}
	b.whole(t, address)
	p.wantCalls(t, loomd, 3)
	stop(t, loomd)

	loomd, _ = startWatched(t, b, "-session", "day")
	if ids := openPage(t, loomd).ids(t); len(ids) != 0 {
		t.Errorf("calls %v of one session are in another", ids)
	}
}

// TestOff leaves out what nobody wants: loomd listens for calls alone.
func TestOff(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	b := startBackend(t)
	address := daemon.FreeAddress(t)
	loomd := program.Start(t, "-backend", b.address, "-listen", address, "-inspector", "off", "-metrics", "off")
	loomd.WaitListening(t, address)
	b.whole(t, address)
	stop(t, loomd)
	if strings.Contains(loomd.Stderr(), "Inspector") || strings.Contains(loomd.Stderr(), "metrics") {
		t.Errorf("loomd speaks of what is off:\n%s", loomd.Stderr())
	}
}

// TestBusyPages names the flag that mends it, and the way without.
func TestBusyPages(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("take an address: %v", err)
	}
	defer taken.Close()
	busy := taken.Addr().String()
	for _, flag := range []string{"-inspector", "-metrics"} {
		t.Run(flag, func(t *testing.T) {
			loomd := program.Start(t, "-backend", "127.0.0.1:1", "-listen", daemon.FreeAddress(t), flag, busy)
			if code := loomd.WaitExit(t, soon); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			wantOneLine(t, loomd, busy, "address already in use", flag+",", flag+" off")
		})
	}
}

func wantOneLine(t *testing.T, loomd *daemon.Process, parts ...string) {
	t.Helper()
	text := loomd.Stderr()
	if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "loomd: ") {
		t.Errorf("want one line:\n%s", text)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("the line does not say %q: %s", part, text)
		}
	}
}

// TestOpen saves the calls of one loomd and shows them in another, which has
// no backend.
func TestOpen(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	b := startBackend(t)
	loomd, address := startWatched(t, b)
	b.whole(t, address)
	first := openPage(t, loomd)
	ids := first.wantCalls(t, loomd, 1)
	status, saved, _ := first.ask(t, http.MethodGet, "/api/export?format=loom")
	if status != http.StatusOK || len(saved) == 0 {
		t.Fatalf("save the calls: status %d, %d bytes", status, len(saved))
	}
	stop(t, loomd)

	file := filepath.Join(t.TempDir(), "friday.loom")
	if err := os.WriteFile(file, saved, 0o600); err != nil {
		t.Fatalf("write the capture: %v", err)
	}
	viewer := program.Start(t, "-open", file, "-inspector", daemon.FreeAddress(t))
	p := openPage(t, viewer)
	var session struct {
		ReadOnly bool
		Title    string
	}
	if p.get(t, "/api/session", &session); !session.ReadOnly || session.Title != "friday.loom" {
		t.Errorf("the inspector says %+v", session)
	}
	if shown := p.ids(t); len(shown) != 1 || shown[0] != ids[0] {
		t.Errorf("calls %v, want %v", shown, ids)
	}
	if status, body := p.raw(t, ids[0]); status != http.StatusOK || body != "first" {
		t.Errorf("a message: %d, %q", status, body)
	}
	if status, body, _ := p.ask(t, http.MethodPost, "/api/clear"); status < 400 || !bytes.Contains(body, []byte("error")) {
		t.Errorf("calls of a saved capture are cleared: %d, %s", status, body)
	}
	busy := strings.TrimPrefix(p.base, "http://")
	another := program.Start(t, "-open", file, "-inspector", busy)
	if code := another.WaitExit(t, soon); code != 1 {
		t.Errorf("exit code %d of another at the same address, want 1", code)
	}
	wantOneLine(t, another, busy, "address already in use")
	stop(t, viewer)
}

// TestOpenMistaken wants a line that says what is wrong with the file.
func TestOpenMistaken(t *testing.T) {
	folder := t.TempDir()
	garbage := filepath.Join(folder, "garbage.loom")
	if err := os.WriteFile(garbage, []byte("a letter home\n"), 0o600); err != nil {
		t.Fatalf("write a file: %v", err)
	}
	for name, file := range map[string]string{"missing": filepath.Join(folder, "gone.loom"), "garbage": garbage, "folder": folder} {
		t.Run(name, func(t *testing.T) {
			loomd := program.Start(t, "-open", file, "-inspector", daemon.FreeAddress(t))
			if code := loomd.WaitExit(t, soon); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			wantOneLine(t, loomd, file)
		})
	}
}

// TestMistakenWatch exits with what scripts know as a wrong command line.
func TestMistakenWatch(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown mode", []string{"-backend", "localhost:1", "-capture", "some"}, `"some"`},
		{"path for a session", []string{"-backend", "localhost:1", "-session", "../x"}, `"../x"`},
		{"file and demo", []string{"-open", "a.loom", "-demo"}, "-open"},
		{"file and backend", []string{"-open", "a.loom", "-backend", "localhost:1"}, "-open"},
		{"file and configuration", []string{"-open", "a.loom", "-config", "loom.yaml"}, "-open"},
		{"file and no page", []string{"-open", "a.loom", "-inspector", "off"}, "-inspector"},
		{"page and configuration", []string{"-config", "loom.yaml", "-inspector", "off"}, "-inspector"},
		{"metrics and configuration", []string{"-config", "loom.yaml", "-metrics", "off"}, "-metrics"},
	} {
		t.Run(test.name, func(t *testing.T) {
			loomd := program.Start(t, test.args...)
			if code := loomd.WaitExit(t, soon); code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			if !strings.Contains(loomd.Stderr(), test.want) {
				t.Errorf("the error does not name %s:\n%s", test.want, loomd.Stderr())
			}
		})
	}
}
