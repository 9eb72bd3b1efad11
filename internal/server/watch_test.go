package server

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"loom/internal/capture"
	"loom/internal/loomtest"
)

// TestRestartWithSession has the calls of an earlier process in the list, and
// gives its own ids to those that come.
func TestRestartWithSession(t *testing.T) {
	loomtest.CheckLeaks(t)
	state := t.TempDir()
	cfg := parse(t, oneBackend(echo(t, new(sync.Mutex)), anyPort)+"inspector: {address: \"127.0.0.1:0\"}\ncapture: {session: night}\n")
	start := func() (s *Server, stop func()) {
		s, err := New(cfg, Options{Log: zap.NewNop(), StateDir: state})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan struct{})
		go func() {
			defer close(served)
			if err := s.Serve(ctx, ctx); err != nil {
				t.Error(err)
			}
		}()
		return s, func() { cancel(); <-served }
	}
	call := func(s *Server) (ids []string) {
		t.Helper()
		b := browse(t, s.InspectorURL())
		before := len(b.ids())
		r := &running{Server: s, t: t}
		cc := r.client(0)
		defer cc.Close()
		if _, err := ask(cc, "/test.Echo/Call", "hello"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the call is in the list", func() bool {
			ids = b.ids()
			return len(ids) == before+1
		})
		return ids
	}
	s, stop := start()
	first := call(s)
	var was, is struct{ Generation uint64 }
	browse(t, s.InspectorURL()).get("/api/session", &was)
	stop()

	// A process is not started twice within a tenth of a second.
	eventually(t, "the next generation begins", func() bool { return newGeneration(time.Now()) > was.Generation })
	s, stop = start()
	defer func() { stop() }()
	if ids := browse(t, s.InspectorURL()).ids(); !slices.Equal(ids, first) {
		t.Errorf("calls %v after the restart, want %v", ids, first)
	}
	browse(t, s.InspectorURL()).get("/api/session", &is)
	if is.Generation <= was.Generation {
		t.Errorf("generation %d after %d", is.Generation, was.Generation)
	}
	both := call(s)
	slices.Sort(both)
	if both = slices.Compact(both); len(both) != 2 {
		t.Errorf("calls %v, want two", both)
	}
}

// TestModes reads them as loom.yaml has them.
func TestModes(t *testing.T) {
	for text, want := range map[string]capture.Mode{"full": capture.Full, "metadata": capture.Metadata, "off": capture.Off} {
		if got, err := captureMode(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "Full", "all"} {
		if _, err := captureMode(text); err == nil || !strings.Contains(err.Error(), "full, metadata or off") {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

// TestNothingToSee serves without an inspector, and without recording.
func TestNothingToSee(t *testing.T) {
	r := serve(t, oneBackend(echo(t, new(sync.Mutex)), anyPort)+"capture: {mode: \"off\"}\n")
	if url := r.InspectorURL(); url != "" {
		t.Errorf("the inspector is at %s", url)
	}
	if _, err := ask(r.client(0), "/test.Echo/Call", "hello"); err != nil {
		t.Fatal(err)
	}
	r.stop()
	r.cut()
	r.wantServed()
}

// TestNewWithoutServe lets go of everything that looks at calls, when a later
// part fails. TestMain looks whether anything is left behind.
func TestNewWithoutServe(t *testing.T) {
	text := oneBackend(nobody, anyPort) + "inspector: {address: \"127.0.0.1:0\", token_file: /nowhere}\ncapture: {session: night}\n"
	if _, err := New(parse(t, text), Options{Log: zap.NewNop(), StateDir: t.TempDir()}); err == nil {
		t.Error("a server without its token")
	}
}
