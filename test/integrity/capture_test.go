package integrity

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	"loom/test/daemon"
)

// recorder is a loomd whose capture a test looks at.
type recorder struct {
	*daemon.Process
	tcp, metrics string
	conns        []*grpc.ClientConn
}

// startRecorder runs a loomd without the race detector in front of the backend,
// with more lines for its loom.yaml.
func startRecorder(t *testing.T, backend, more string) *recorder {
	t.Helper()
	r := &recorder{tcp: daemon.FreeAddress(t), metrics: daemon.FreeAddress(t)}
	r.Process = plain.Start(t, "-quiet", "-config", daemon.WriteConfig(t, fmt.Sprintf(`
listeners: [{name: plain, address: %q}]
backends: {main: {targets: [%q]}}
routes: [{name: all, backend: main}]
metrics: {address: %q}
%s`, r.tcp, backend, r.metrics, more)))
	r.WaitListening(t, r.tcp)
	for range 4 {
		r.conns = append(r.conns, dial(t, r.tcp))
	}
	return r
}

// counter is what a scrape says of the line.
func (r *recorder) counter(t *testing.T, line string) float64 {
	t.Helper()
	text := get(t, "http://"+r.metrics+"/metrics")
	var value float64
	_, after, found := strings.Cut(text, "\n"+line+" ")
	if _, err := fmt.Sscan(after, &value); !found || err != nil {
		t.Fatalf("a scrape has no %s (%v)", line, err)
	}
	return value
}

// get returns a page.
func get(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatalf("make a request: %v", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("get %s: %v", url, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("get %s: %s, %v", url, answer.Status, err)
	}
	return string(text)
}

// rate makes calls for a while and returns how many a second there were.
func (r *recorder) rate(t *testing.T, during time.Duration) float64 {
	t.Helper()
	var done atomic.Int64
	var workers sync.WaitGroup
	started := time.Now()
	for _, conn := range r.conns {
		for range 8 {
			workers.Go(func() {
				for time.Since(started) < during {
					if err := callOnce(t.Context(), conn); err != nil {
						t.Errorf("call: %v", err)
						return
					}
					done.Add(1)
				}
			})
		}
	}
	workers.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return float64(done.Load()) / time.Since(started).Seconds()
}

// inspectorURL is what loomd prints.
var inspectorURL = regexp.MustCompile(`Inspector: (http://([^/]+)/\?token=\w+)`)

// watchAndNeverRead has n pages follow the calls of loomd, none of which reads.
func (r *recorder) watchAndNeverRead(t *testing.T, n int) {
	t.Helper()
	var found []string
	r.Await(t, "loomd says where its inspector is", func() bool {
		found = inspectorURL.FindStringSubmatch(r.Stderr())
		return found != nil
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, found[1], http.NoBody)
	if err != nil {
		t.Fatalf("make a request: %v", err)
	}
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatalf("log in: %v", err)
	}
	answer.Body.Close()
	cookie, _, _ := strings.Cut(answer.Header.Get("Set-Cookie"), ";")
	for range n {
		conn, err := net.Dial("tcp", found[2])
		if err != nil {
			t.Fatalf("reach the inspector: %v", err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatalf("make the buffer small: %v", err)
		}
		fmt.Fprintf(conn, "GET /api/stream HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\n\r\n", found[2], cookie)
		head := make([]byte, 12)
		if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 200" {
			t.Fatalf("follow the calls: %q, %v", head, err)
		}
	}
}

// TestStuckCaptureCostsNoCall compares a loomd that records, and that is all,
// with one whose session file takes nothing and whose pages read nothing. The
// best of several turns counts: what else runs here only ever slows one down.
func TestStuckCaptureCostsNoCall(t *testing.T) {
	const turns, most, least = 24, 500 * time.Millisecond, 0.95
	address := startEcho(t)
	state := t.TempDir()
	t.Setenv("STATE_DIRECTORY", state)
	if err := os.Mkdir(filepath.Join(state, "sessions"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(state, "sessions", "stuck.ndjson"), 0o600); err != nil {
		t.Fatal(err)
	}
	free := startRecorder(t, address, "")
	stuck := startRecorder(t, address, fmt.Sprintf("capture: {session: stuck}\ninspector: {address: %q}\n", daemon.FreeAddress(t)))
	const lost = `loom_capture_dropped_total{what="session"}`
	for stuck.counter(t, lost) == 0 {
		stuck.rate(t, most) // until nothing more goes into the file
	}
	stuck.watchAndNeverRead(t, 3)

	var bestFree, bestStuck float64
	for turn := range turns {
		bestFree = max(bestFree, free.rate(t, most))
		bestStuck = max(bestStuck, stuck.rate(t, most))
		if turn >= 3 && bestStuck >= least*bestFree {
			break
		}
	}
	t.Logf("%.0f calls a second, %.0f with capture stuck (%.1f %%)", bestFree, bestStuck, 100*bestStuck/bestFree)
	if bestStuck < least*bestFree {
		t.Errorf("a stuck capture costs %.1f %% of the throughput, at most 5 are allowed", 100-100*bestStuck/bestFree)
	}
	seen, before := stuck.counter(t, "loom_capture_calls_seen_total"), stuck.counter(t, lost)
	if before < seen/2 {
		t.Errorf("of %.0f calls %.0f count as missing in the session file, which took some hundred", seen, before)
	}
	if changes := stuck.counter(t, `loom_capture_dropped_total{what="changes"}`); changes == 0 {
		t.Error("nothing says that who watches has missed changes")
	}
}

// TestFloodStaysWithinTheRing sends messages of 1 MB, more of them than the
// ring holds, to a loomd that is set as it is for people.
func TestFloodStaysWithinTheRing(t *testing.T) {
	const ring, slack, each, calls = 64 << 20, 64 << 20, 1 << 20, 600
	for _, test := range []struct{ name, kept string }{
		{"whole messages", "1MiB"},
		{"cut as by default", "256KiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := startRecorder(t, startEcho(t), fmt.Sprintf("capture: {ring: {bytes: 64MiB}, message_bytes: %s}\n", test.kept))
			request := make([]byte, each)
			var left atomic.Int64
			left.Store(calls)
			var workers sync.WaitGroup
			for _, conn := range r.conns {
				for range 4 {
					workers.Go(func() {
						for left.Add(-1) >= 0 {
							ctx, cancel := context.WithTimeout(t.Context(), callLimit)
							err := conn.Invoke(ctx, "/loom.test.Steady/Echo", &request, new([]byte))
							cancel()
							if err != nil {
								t.Errorf("call: %v", err)
								return
							}
						}
					})
				}
			}
			workers.Wait()
			peak := r.PeakResident(t)
			held := r.counter(t, "loom_capture_bytes")
			t.Logf("at most %d MiB resident, %.0f MiB of them in the ring", peak>>20, held/(1<<20))
			if held < ring/2 || held > ring {
				t.Errorf("the ring of %d MiB holds %.0f after a flood", ring>>20, held/(1<<20))
			}
			if peak > ring+slack {
				t.Errorf("%d MiB were resident, at most %d are allowed", peak>>20, (ring+slack)>>20)
			}
		})
	}
}
