package loomd

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
)

// monitoring asks a loomd as scrapers and probes do.
type monitoring string // host:port

// get returns the status and the text of a page; 0 if nobody answers.
func (m monitoring) get(t *testing.T, path string) (code int, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+string(m)+path, http.NoBody)
	if err != nil {
		t.Fatalf("make a request: %v", err)
	}
	request.Host, request.Close = "loomd.monitoring.svc:9997", true
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	return answer.StatusCode, string(all)
}

// wantLines waits until a scrape has every line.
func (m monitoring) wantLines(t *testing.T, loomd *daemon.Process, lines ...string) {
	t.Helper()
	for _, line := range lines {
		loomd.Await(t, "a scrape has "+line, func() bool {
			_, text := m.get(t, "/metrics")
			return strings.Contains(text, "\n"+line+"\n")
		})
	}
}

// sample is a line of a scrape that is no comment.
var sample = regexp.MustCompile(`^[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+$|le="\+Inf"`)

// TestMetrics scrapes a loomd after some calls, while one is open, and while
// it drains.
func TestMetrics(t *testing.T) {
	b := startBackend(t)
	m := monitoring(daemon.FreeAddress(t))
	loomd, address := startLoomd(t, b, fmt.Sprintf("metrics: {address: %q}\n", m))
	loomd.Await(t, "/readyz says ok", func() bool { code, text := m.get(t, "/readyz"); return code == http.StatusOK && text == "ok\n" })
	client := dial(t, address)
	const calls = 3
	for range calls {
		b.release <- struct{}{}
		stream := client.start(t)
		<-b.arrived
		wantMessage(t, stream, "first")
		if s := finish(t, stream); s.Code() != codes.OK {
			t.Fatalf("the call ended with %v", s)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	question := []byte("x")
	if err := client.conn.Invoke(ctx, "/loom.test.Held/Missing", &question, new([]byte)); status.Code(err) != codes.Unimplemented {
		t.Fatalf("a method that is not there: %v", err)
	}
	open := client.start(t)
	<-b.arrived

	m.wantLines(t, loomd,
		`loom_calls_total{backend="held",code="OK",method="/loom.test.Held/Call",route="all"} 3`,
		`loom_calls_total{backend="held",code="UNIMPLEMENTED",method="/loom.test.Held/Missing",route="all"} 1`,
		`loom_call_duration_seconds_count{backend="held",route="all"} 4`,
		`loom_call_bytes_total{backend="held",direction="up",route="all"} 36`,   // three times "first", once "x", with their prefixes
		`loom_call_bytes_total{backend="held",direction="down",route="all"} 30`, // three times "first"
		"loom_calls_in_flight 1",
		"loom_capture_calls_seen_total 5",
		`loom_capture_dropped_total{what="calls"} 0`,
		"loom_limit_streams_refused_total 0",
	)
	_, text := m.get(t, "/metrics")
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); !strings.HasPrefix(line, "# ") && !sample.MatchString(line) {
			t.Errorf("no sample: %q", line)
		}
	}
	for _, name := range []string{"loom_build_info", "go_goroutines", "process_resident_memory_bytes"} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("a scrape has no %s", name)
		}
	}

	loomd.Signal(t, syscall.SIGTERM)
	loomd.Await(t, "/readyz says draining", func() bool {
		code, text := m.get(t, "/readyz")
		return code == http.StatusServiceUnavailable && text == "draining\n"
	})
	if code, text := m.get(t, "/healthz"); code != http.StatusOK || text != "ok\n" {
		t.Errorf("/healthz says %d %q while loomd drains", code, text)
	}
	b.release <- struct{}{}
	wantMessage(t, open, "first")
	if err := open.CloseSend(); err != nil {
		t.Fatalf("end the request: %v", err)
	}
	if code := loomd.WaitExit(t, 20*time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if code, _ := m.get(t, "/healthz"); code != 0 {
		t.Errorf("somebody answers with %d when loomd has ended", code)
	}
}
