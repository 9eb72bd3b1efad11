package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// debianPython is the interpreter that Debian's python3-grpcio installs for. A
// python3 from elsewhere that comes first in PATH would not find it.
const debianPython = "/usr/bin/python3"

// TestPeers has clients of other stacks run their cases, which are the same
// ones, over TCP and over a Unix socket. Each prints one line for each case.
func TestPeers(t *testing.T) {
	clients := []struct {
		name    string
		install string // how to get what the client needs
		probe   []string
		command []string
		cases   []string
	}{
		{
			name:    "grpc-js",
			install: "install Node.js 18 or newer, then run: make deps",
			probe:   []string{"node", "-e", "require('./js/node_modules/@grpc/grpc-js')"},
			command: []string{"node", filepath.Join("js", "cases.js")},
			cases: []string{"unary", "empty_message", "server_stream", "client_stream", "bidi", "error_details", "error_after_messages",
				"unimplemented", "deadline", "cancel", "metadata", "large_message", "gzip", "concurrent"},
		},
		{
			name:    "python",
			install: "install Debian's package python3-grpcio, for example by: make deps",
			probe:   []string{debianPython, "-c", "import grpc"},
			command: []string{debianPython, filepath.Join("python", "cases.py")},
			cases: []string{"unary_message", "empty_message", "server_stream", "client_stream", "bidi", "error_details", "error_after_messages",
				"unimplemented", "deadline", "cancel", "metadata", "large_message", "gzip", "concurrent"},
		},
	}
	relay := loomd.StartRelay(t, startPeerServer(t))
	listeners := []struct{ name, target string }{
		{"tcp", relay.TCP},
		{"unix", "unix:" + relay.Unix},
	}
	for _, client := range clients {
		if output, err := exec.Command(client.probe[0], client.probe[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%s cannot run: %v\n%s%s", client.name, err, output, client.install)
			continue
		}
		for _, listener := range listeners {
			t.Run(client.name+"/"+listener.name, func(t *testing.T) {
				reports := runCases(t, append(client.command, listener.target))
				for _, name := range client.cases {
					t.Run(name, func(t *testing.T) {
						report, ok := reports[name]
						if !ok {
							t.Fatal("the client did not report this case")
						}
						if report.Error != "" {
							t.Error(report.Error)
						}
						delete(reports, name)
					})
				}
				for name := range reports {
					t.Errorf("case %s is not in the list of this test", name)
				}
			})
		}
	}
}

// caseReport is what a client prints for a case.
type caseReport struct {
	Case  string `json:"case"`
	Error string `json:"error"`
}

// runCases runs a client and returns its reports by case.
func runCases(t *testing.T, command []string) map[string]caseReport {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, command[0], command[1:]...)
	run.Stderr = os.Stderr
	output, err := run.Output()
	if err != nil {
		t.Errorf("run %s: %v", command[0], err)
	}
	reports := map[string]caseReport{}
	for line := range bytes.Lines(output) {
		var report caseReport
		if err := json.Unmarshal(line, &report); err != nil {
			t.Fatalf("read the line %q of %s: %v", line, command[0], err)
		}
		reports[report.Case] = report
	}
	return reports
}
