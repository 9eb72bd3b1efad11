package relay

import (
	"context"
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"loom/test/daemon"
)

// h2specCases is how many cases h2spec has with -strict. Fewer would mean that
// it stopped half-way.
const h2specCases = 146

// TestH2spec runs all of h2spec against a listener, and no case may fail. Its
// requests are not gRPC, so what comes back to the right ones is loomd's own
// 415; TestH2specOnCalls is about what loomd relays.
func TestH2spec(t *testing.T) {
	folder := t.TempDir()
	h2spec, err := daemon.BuildTool(folder, "test/h2spec", "github.com/summerwind/h2spec/cmd/h2spec")
	if err != nil {
		t.Fatal(err)
	}
	relay := loomd.StartRelay(t, startPeerServer(t))
	host, port, err := net.SplitHostPort(relay.TCP)
	if err != nil {
		t.Fatalf("split the address of loomd: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	report := filepath.Join(folder, "report.xml")
	output, err := exec.CommandContext(ctx, h2spec, "--strict", "--timeout", "3", "--host", host, "--port", port, "--junit-report", report).CombinedOutput()
	// h2spec exits with 1 when a case fails, which the report tells better.
	if err != nil && ctx.Err() != nil {
		t.Fatalf("run h2spec: %v\n%s", err, output)
	}
	ran := 0
	for _, result := range readReport(t, report, output) {
		ran++
		name := result.Package + ": " + result.Title
		t.Run(name, func(t *testing.T) {
			failure := strings.TrimSpace(result.Error + result.Failure)
			if failure != "" {
				t.Errorf("wanted one of the lines above the last, which is what came:\n%s", failure)
			}
			if result.Skipped != nil {
				t.Error("h2spec skipped the case")
			}
		})
	}
	if ran != h2specCases {
		t.Errorf("h2spec ran %d cases of %d\n%s", ran, h2specCases, output)
	}
}

// h2specResult is a test case in h2spec's report.
type h2specResult struct {
	Package string    `xml:"package,attr"`
	Title   string    `xml:"classname,attr"`
	Error   string    `xml:"error"`
	Failure string    `xml:"failure"`
	Skipped *struct{} `xml:"skipped"`
}

func readReport(t *testing.T, name string, output []byte) []h2specResult {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatalf("h2spec wrote no report: %v\n%s", err, output)
	}
	var report struct {
		Suites []struct {
			Cases []h2specResult `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		t.Fatalf("read the report of h2spec: %v", err)
	}
	var results []h2specResult
	for _, suite := range report.Suites {
		results = append(results, suite.Cases...)
	}
	return results
}

// TestNotGRPC sends what a browser or a health checker would send.
func TestNotGRPC(t *testing.T) {
	relay := loomd.StartRelay(t, startPeerServer(t))
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for _, test := range []struct{ name, method, contentType, body string }{
		{"GET", http.MethodGet, "", ""},
		{"HEAD", http.MethodHead, "", ""},
		{"POST of JSON", http.MethodPost, "application/json", `{"a": 1}`},
		{"gRPC-Web", http.MethodPost, "application/grpc-web+proto", "\x00\x00\x00\x00\x00"},
		{"large POST", http.MethodPost, "application/octet-stream", strings.Repeat("x", 1<<20)},
	} {
		t.Run(test.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), test.method, "http://"+relay.TCP+"/", strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if test.contentType != "" {
				request.Header.Set("Content-Type", test.contentType)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatalf("send a request that is not gRPC: %v", err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatalf("read the answer: %v", err)
			}
			if response.StatusCode != http.StatusUnsupportedMediaType {
				t.Errorf("status %d, want 415", response.StatusCode)
			}
			if test.method == http.MethodHead {
				return
			}
			line, rest, ended := strings.Cut(string(body), "\n")
			if !ended || rest != "" || !strings.Contains(line, "gRPC") {
				t.Errorf("body %q, want one line that says that this is for gRPC", body)
			}
		})
	}
}
