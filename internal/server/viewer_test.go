package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	loomv1 "loom/api/loom/v1"
	"loom/internal/export"
)

// browser is one that has logged in to an inspector.
type browser struct {
	t      *testing.T
	base   string
	cookie *http.Cookie
}

func browse(t *testing.T, address string) *browser {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, base: at.Scheme + "://" + at.Host}
	_, _, cookies := b.ask(http.MethodGet, at.RequestURI(), "")
	if len(cookies) != 1 {
		t.Fatalf("%s gives the cookies %v", address, cookies)
	}
	b.cookie = cookies[0]
	return b
}

func (b *browser) ask(method, path, body string) (status int, answer []byte, cookies []*http.Cookie) {
	b.t.Helper()
	q, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	if b.cookie != nil {
		q.AddCookie(b.cookie)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(q)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	if answer, err = io.ReadAll(res.Body); err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, answer, res.Cookies()
}

// get reads a page of the API into v.
func (b *browser) get(path string, v any) {
	b.t.Helper()
	status, body, _ := b.ask(http.MethodGet, path, "")
	if status != http.StatusOK {
		b.t.Fatalf("%s: status %d, %s", path, status, body)
	}
	if err := json.Unmarshal(body, v); err != nil {
		b.t.Fatalf("%s: %v in %s", path, err, body)
	}
}

// ids are those of the calls that have ended.
func (b *browser) ids() (ids []string) {
	b.t.Helper()
	var list struct{ Calls []struct{ ID, By string } }
	b.get("/api/calls", &list)
	for _, c := range list.Calls {
		if c.By != "" {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// saved writes a .loom file of the calls, with the descriptors of backend b.
func saved(t *testing.T, calls ...*loomv1.Call) (name string) {
	t.Helper()
	var out bytes.Buffer
	if err := export.WriteLoom(&out, slices.Values(calls), map[string]*descriptorpb.FileDescriptorSet{"b": usersFiles()}); err != nil {
		t.Fatal(err)
	}
	return write(t, t.TempDir(), "friday.loom", out.Bytes())
}

func endedCall(id string) *loomv1.Call {
	c := direct("/acme.Users/Get", user())
	c.Id, c.State, c.Start = id, loomv1.CallState_CALL_STATE_ENDED, timestamppb.Now()
	c.Timings = &loomv1.Timings{End: durationpb.New(1000)}
	c.Status, c.EndedBy = new(loomv1.Status), loomv1.Ender_ENDER_BACKEND
	return c
}

// view shows a file until the test ends.
func view(t *testing.T, file string) *browser {
	t.Helper()
	v, err := NewViewer(file, "127.0.0.1:0", Options{Log: zap.NewNop(), Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- v.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return browse(t, v.URL())
}

// TestViewer shows what was saved, and lets nothing be done to it.
func TestViewer(t *testing.T) {
	b := view(t, saved(t, endedCall("5-1"), endedCall("5-2")))
	var session struct {
		ReadOnly, Replay bool
		Title, Version   string
	}
	if b.get("/api/session", &session); !session.ReadOnly || session.Replay || session.Title != "friday.loom" || session.Version != "v1" {
		t.Errorf("session %+v", session)
	}
	if ids := b.ids(); len(ids) != 2 {
		t.Fatalf("calls %v", ids)
	}
	var detail struct {
		View struct {
			Source  string
			Request struct {
				First struct {
					JSON map[string]string
					Type string
				}
			}
		}
	}
	b.get("/api/calls/5-1", &detail)
	first := detail.View.Request.First
	if first.JSON["name"] != "Ada" || first.Type != "acme.User" || detail.View.Source == "schemaless" {
		t.Errorf("the request is shown as %+v", detail.View)
	}
	for _, path := range []string{"/api/clear", "/api/capture", "/api/calls/5-1/replay", "/api/compose"} {
		if status, body, _ := b.ask(http.MethodPost, path, "{}"); status < 400 || status >= 500 {
			t.Errorf("%s: status %d, %s", path, status, body)
		}
	}
	if ids := b.ids(); len(ids) != 2 {
		t.Errorf("calls %v are left", ids)
	}
}

// TestViewerOfDamage shows what is left of a file.
func TestViewerOfDamage(t *testing.T) {
	if ids := view(t, saved(t)).ids(); len(ids) != 0 {
		t.Errorf("calls %v in an empty capture", ids)
	}
	if ids := view(t, saved(t, endedCall("5-1"), endedCall("odd"), endedCall("5-1"))).ids(); len(ids) != 1 {
		t.Errorf("calls %v, want the one that is whole", ids)
	}
}

// TestViewerRefuses wants one line that says why. TestMain looks whether
// anything is left behind.
func TestViewerRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	folder, busy := t.TempDir(), taken.Addr().String()
	good, garbage := saved(t, endedCall("5-1")), write(t, folder, "garbage.loom", []byte("a letter home"))
	for _, test := range []struct{ name, file, address, want string }{
		{"missing", filepath.Join(folder, "gone.loom"), "127.0.0.1:0", "gone.loom"},
		{"folder", folder, "127.0.0.1:0", folder},
		{"garbage", garbage, "127.0.0.1:0", garbage},
		{"empty", write(t, folder, "empty.loom", nil), "127.0.0.1:0", "empty.loom"},
		{"taken address", good, busy, busy},
		{"no address", good, "nowhere", "nowhere"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := NewViewer(test.file, test.address, Options{Log: zap.NewNop()})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line with %q", err, test.want)
			}
			if listen, ok := errors.AsType[*ListenError](err); ok != (test.address != "127.0.0.1:0") || ok && listen.Listener != "inspector" {
				t.Errorf("%v is of the kind %T", err, err)
			}
			if test.address == busy && !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("%v does not say that the address is taken", err)
			}
		})
	}
}

// Long streams take more memory than their bytes: none of the calls is left
// out for it.
func TestViewerShowsEveryCallOfLongStreams(t *testing.T) {
	var calls []*loomv1.Call
	for i := range 200 {
		c := endedCall(fmt.Sprintf("7-%d", i+1))
		for len(c.GetMessages()) < 320 {
			c.Messages = append(c.Messages, c.GetMessages()[0])
		}
		calls = append(calls, c)
	}
	if ids := view(t, saved(t, calls...)).ids(); len(ids) != len(calls) {
		t.Errorf("%d calls of %d are shown", len(ids), len(calls))
	}
}
