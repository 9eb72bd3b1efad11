package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	loomv1 "loom/api/loom/v1"
)

// fakeDaemon answers as the tests tell it; what it is not told it does not know,
// as an older loomd.
type fakeDaemon struct {
	loomv1.UnimplementedAdminServer

	fail     error
	breakers func() []*loomv1.Breaker // nil: none
	silent   bool
}

func (d *fakeDaemon) ListBreakers(ctx context.Context, _ *loomv1.ListBreakersRequest) (*loomv1.ListBreakersResponse, error) {
	if d.silent {
		<-ctx.Done()
	}
	a := &loomv1.ListBreakersResponse{}
	if d.breakers != nil {
		a.Breakers = d.breakers()
	}
	return a, d.fail
}

func (d *fakeDaemon) ReplayCall(context.Context, *loomv1.ReplayCallRequest) (*loomv1.ReplayCallResponse, error) {
	return &loomv1.ReplayCallResponse{
		Id: "7-2", Status: &loomv1.Status{Code: 5, Message: "there is no order"},
		Changes: []*loomv1.JSONChange{{Path: "/order", Kind: "removed", Old: "1"}, {Path: "/n", Kind: "changed", Old: "1", New: "2"}},
	}, d.fail
}

func (d *fakeDaemon) serve(t *testing.T) (socket string) {
	t.Helper()
	folder, err := os.MkdirTemp("", "loom") //nolint:usetesting // t.TempDir may be too long
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(folder, "admin.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	loomv1.RegisterAdminServer(s, d)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(l) // until it is stopped
	}()
	t.Cleanup(func() {
		s.Stop()
		<-served
		_ = os.RemoveAll(folder)
	})
	return socket
}

// loomctl runs the command and returns what it says.
func loomctl(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(ctx, args, func(string) (string, bool) { return "", false }, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// TestExits wants the exit code and one line that says what to do.
func TestExits(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone.sock")
	for _, test := range []struct {
		name, args string
		daemon     *fakeDaemon // nil: none
		code       int
		says       string
	}{
		{"fine", "breaker status", &fakeDaemon{breakers: shopOnly}, exitOK, ""},
		{"a breaker that is not there", "breaker status gone", &fakeDaemon{}, exitFailed, `there is no breaker of a backend "gone"`},
		{"no daemon", "breaker status --socket " + gone, nil, exitUnreachable, "no loomd answers (tried " + gone + "): start it, or say where its socket is with --socket"},
		{"older daemon", "routes", &fakeDaemon{}, exitFailed, "is older than this loomctl and cannot do that: update it"},
		{"denied", "breaker status", &fakeDaemon{fail: status.Error(codes.PermissionDenied, "this socket is for root")}, exitDenied, "permission refused: this socket is for root"},
		{"stopping", "breaker status", &fakeDaemon{fail: status.Error(codes.Unavailable, "loomd is stopping")}, exitUnreachable, "does not answer any more"},
		{"wrong value", "breaker status", &fakeDaemon{fail: status.Error(codes.InvalidArgument, "no such thing")}, exitUsage, "no such thing"},
		{"anything else", "breaker status", &fakeDaemon{fail: status.Error(codes.Internal, "out of luck")}, exitFailed, "out of luck"},
		{"slow", "breaker status --timeout 1s", &fakeDaemon{silent: true}, exitFailed, "did not answer within 1s: give it more with --timeout"},
		{"replay", "calls replay 7-1", &fakeDaemon{}, exitReplay + 5, ""},
		{"replay fails", "calls replay 7-1", &fakeDaemon{fail: status.Error(codes.NotFound, "call 7-1 is not kept")}, exitFailed, "not kept"},
		{"unknown command", "braker", nil, exitUsage, `unknown command "braker"`},
		{"unknown flag", "routes --wide", nil, exitUsage, "unknown flag: --wide"},
		{"missing argument", "breaker open", nil, exitUsage, "loomctl breaker open takes BACKEND"},
		{"wrong word", "capture some", nil, exitUsage, "takes one of full, metadata, off"},
		{"wrong format", "routes -o xml", nil, exitUsage, `there is no format "xml"`},
		{"missing file", "config check " + gone, nil, exitFailed, "no such file"},
		{"missing file to compare", "config diff " + gone, nil, exitUsage, "no such file"},
		{"diff of an older daemon", "config diff /dev/null", &fakeDaemon{}, exitUsage, "is older"},
		{"version without a daemon", "version --socket " + gone, nil, exitOK, "no loomd answers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := strings.Fields(test.args)
			if test.daemon != nil {
				args = append(args, "--socket", test.daemon.serve(t))
			}
			code, _, stderr := loomctl(t.Context(), args...)
			if code != test.code || !strings.Contains(stderr, test.says) || test.says == "" && stderr != "" {
				t.Errorf("exit code %d and %q, want %d and %q", code, stderr, test.code, test.says)
			}
			if lines := strings.Count(stderr, "\n"); lines > 2 || lines > 1 && code != exitUsage {
				t.Errorf("%d lines are said:\n%s", lines, stderr)
			}
		})
	}
}

// TestFormats prints breakers in each of them.
func TestFormats(t *testing.T) {
	socket := (&fakeDaemon{breakers: func() []*loomv1.Breaker {
		now := time.Now()
		return []*loomv1.Breaker{{
			Backend: "ledger", State: "open", FailureRatio: 0.61,
			Since: timestamppb.New(now.Add(-12 * time.Second)), NextProbe: timestamppb.New(now.Add(18 * time.Second)),
			Verdicts: 20, Consecutive: 5, LastError: "UNAVAILABLE", Totals: &loomv1.BreakerTotals{Openings: 1, Rejected: 310},
		}, {Backend: "shop", State: "closed", Since: timestamppb.New(now.Add(-time.Hour))}}
	}}).serve(t)
	for format, want := range map[string]string{
		"table": "BACKEND  STATE   FAIL%  SINCE  NEXT PROBE\nledger   open     61.0    12s  in 18s\nshop     closed    0.0     1h  -\n",
		"wide": "BACKEND  STATE   FAIL%  SINCE  NEXT PROBE  CALLS  IN A ROW  OPENED  REJECTED  LAST ERROR\n" +
			"ledger   open     61.0    12s  in 18s         20         5       1       310  UNAVAILABLE\n" +
			"shop     closed    0.0     1h  -               0         0       0         0\n",
		"tsv": "ledger\topen\t61.0\t12s\tin 18s\t20\t5\t1\t310\tUNAVAILABLE\nshop\tclosed\t0.0\t1h\t-\t0\t0\t0\t0\t\n",
		"":    "ledger\topen\t61.0\t12s\tin 18s\t20\t5\t1\t310\tUNAVAILABLE\nshop\tclosed\t0.0\t1h\t-\t0\t0\t0\t0\t\n", // not a terminal
	} {
		args := []string{"breaker", "--socket", socket}
		if format != "" {
			args = append(args, "-o", format)
		}
		if code, stdout, stderr := loomctl(t.Context(), args...); code != 0 || stdout != want {
			t.Errorf("%s: exit code %d, %q, got\n%s, want\n%s", format, code, stderr, stdout, want)
		}
	}
	_, stdout, _ := loomctl(t.Context(), "breaker", "--socket", socket, "-o", "json")
	var answer struct {
		Version  string `json:"version"`
		Breakers []struct {
			FailureRatio float64 `json:"failureRatio"`
		} `json:"breakers"`
	}
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil || answer.Version != "v1" || len(answer.Breakers) != 2 || answer.Breakers[0].FailureRatio != 0.61 {
		t.Errorf("%v: %s", err, stdout)
	}
	if _, stdout, _ := loomctl(t.Context(), "breaker", "--socket", socket, "-o", "yaml"); !strings.Contains(stdout, "version: v1\n") || !strings.Contains(stdout, "failureRatio: 0.61\n") {
		t.Errorf("not what YAML looks like:\n%s", stdout)
	}
}

func shopOnly() []*loomv1.Breaker { return []*loomv1.Breaker{{Backend: "shop", State: "closed"}} }

// enough is an output whose reader goes when it has seen some lines.
type enough struct {
	bytes.Buffer

	lines int
	leave func()
}

func (e *enough) Write(data []byte) (int, error) {
	if e.lines -= bytes.Count(data, []byte("\n")); e.lines <= 0 {
		e.leave()
	}
	return e.Buffer.Write(data)
}

// TestWatch prints until the user has seen enough, which is no failure.
func TestWatch(t *testing.T) {
	socket := (&fakeDaemon{breakers: shopOnly}).serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, errs := &enough{lines: 3, leave: cancel}, &bytes.Buffer{}
	args := []string{"breaker", "-w", "--interval", "100ms", "-o", "json", "--socket", socket}
	code := run(ctx, args, func(string) (string, bool) { return "", false }, strings.NewReader(""), out, errs)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if code != 0 || errs.Len() > 0 || len(lines) != 3 {
		t.Fatalf("exit code %d, %q, %d lines:\n%s", code, errs, len(lines), out)
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON on a line of its own: %s", line)
		}
	}
}

// TestManuals wants a page of each command, with its flags and exit codes.
func TestManuals(t *testing.T) {
	folder := t.TempDir()
	if code, _, stderr := loomctl(t.Context(), "man", folder); code != 0 {
		t.Fatal(stderr)
	}
	for name, want := range map[string][]string{
		"loomctl":                {".TH \"LOOMCTL\" 1", "Exit codes", "LOOM_SOCKET", "loomctl\\-routes(1)", "\\-\\-socket path"},
		"loomctl-backends-drain": {"drain BACKEND ENDPOINT", "OPTIONS OF ALL COMMANDS", "EXIT STATUS", "loomctl\\-backends(1)"},
		"loomctl-tail":           {"\\-f, \\-\\-filter filter", "is:error"},
	} {
		page, err := os.ReadFile(filepath.Join(folder, name+".1"))
		if err != nil {
			t.Error(err)
		}
		for _, text := range want {
			if !strings.Contains(string(page), text) {
				t.Errorf("the page of %s has no %q:\n%s", name, text, page)
			}
		}
	}
	if code, stdout, _ := loomctl(t.Context(), "man"); code != 0 || !strings.HasPrefix(stdout, ".TH") {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
	if code, _, stderr := loomctl(t.Context(), "man", filepath.Join(folder, "gone")); code != exitFailed || stderr == "" {
		t.Errorf("a folder that is not there: exit code %d, %s", code, stderr)
	}
}
