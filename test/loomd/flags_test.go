package loomd

import (
	"encoding/json"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"loom/test/daemon"
)

// exitBadConfig is what -check exits with when the file has mistakes.
const exitBadConfig = 5

// soon is how long a command that does not serve may take.
const soon = 10 * time.Second

const goodConfig = `
listeners:
  - {name: plain, address: "127.0.0.1:9999"}
backends:
  users: {targets: ["127.0.0.1:50051"]}
routes:
  - {name: all, backend: users}
`

func TestVersion(t *testing.T) {
	loomd := program.Start(t, "-version")
	if code := loomd.WaitExit(t, soon); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if !regexp.MustCompile(`\Aloomd \S.*\n\z`).MatchString(loomd.Stdout()) {
		t.Errorf("printed %q, want one line with the name and the version", loomd.Stdout())
	}
}

func TestCheckGood(t *testing.T) {
	loomd := program.Start(t, "-check", "-config", daemon.WriteConfig(t, goodConfig))
	if code := loomd.WaitExit(t, soon); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if loomd.Stdout() != "ok\n" {
		t.Errorf("printed %q, want ok", loomd.Stdout())
	}
}

// TestCheckBad wants every mistake at once, each with its place, and no "ok".
func TestCheckBad(t *testing.T) {
	bad := strings.ReplaceAll(goodConfig, "targets", "tragets") + "  - {name: lost, backend: usres}\n"
	name := daemon.WriteConfig(t, bad)
	loomd := program.Start(t, "-check", "-config", name)
	if code := loomd.WaitExit(t, soon); code != exitBadConfig {
		t.Errorf("exit code %d, want %d", code, exitBadConfig)
	}
	for _, want := range []string{name + ":5:11: ", `"tragets"`, "targets?", name + ":8:27: ", `"usres"`, "users?"} {
		if !strings.Contains(loomd.Stderr(), want) {
			t.Errorf("the errors do not say %s:\n%s", want, loomd.Stderr())
		}
	}
	if strings.Contains(loomd.Stdout(), "ok") {
		t.Errorf("printed %q for a bad file", loomd.Stdout())
	}
}

// TestBadConfigDoesNotServe starts without -check.
func TestBadConfigDoesNotServe(t *testing.T) {
	name := daemon.WriteConfig(t, goodConfig+"unheard_of: 1\n")
	loomd := program.Start(t, "-config", name)
	if code := loomd.WaitExit(t, soon); code != exitBadConfig {
		t.Errorf("exit code %d, want %d", code, exitBadConfig)
	}
	if !strings.Contains(loomd.Stderr(), name+":8:1:") {
		t.Errorf("the error does not name its place:\n%s", loomd.Stderr())
	}
}

func TestSchema(t *testing.T) {
	loomd := program.Start(t, "-schema")
	if code := loomd.WaitExit(t, soon); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	var schema struct {
		Schema     string         `json:"$schema"`
		Properties map[string]any `json:"properties"`
	}
	if err := json.Unmarshal([]byte(loomd.Stdout()), &schema); err != nil {
		t.Fatalf("read the schema: %v", err)
	}
	if !strings.Contains(schema.Schema, "draft-07") || schema.Properties["listeners"] == nil {
		t.Errorf("%q with the properties %v is not the schema of loom.yaml", schema.Schema, schema.Properties)
	}
}

// TestMistakenFlags wants a line that says what to do and an exit code that a
// script can tell from success.
func TestMistakenFlags(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yaml")
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"-bakcend", "localhost:1"}, "bakcend"},
		{"nothing to do", nil, "-backend"},
		{"missing file", []string{"-config", missing}, missing},
		{"two sources", []string{"-config", missing, "-backend", "localhost:1"}, "-backend"},
		{"backend without port", []string{"-backend", "localhost", "-listen", "127.0.0.1:0"}, "localhost"},
		{"bad listen address", []string{"-backend", "localhost:1", "-listen", "nowhere"}, "nowhere"},
		{"argument", []string{"localhost:1"}, "localhost:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			loomd := program.Start(t, test.args...)
			if code := loomd.WaitExit(t, soon); code == 0 {
				t.Error("exit code 0")
			}
			if !strings.Contains(loomd.Stderr(), test.want) {
				t.Errorf("the error does not name %s:\n%s", test.want, loomd.Stderr())
			}
		})
	}
}

// TestBusyPort names the flag that mends it.
func TestBusyPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	busy := taken.Addr().String()
	for _, args := range [][]string{
		{"-backend", "127.0.0.1:1", "-listen", busy},
		{"-demo", "-listen", busy},
	} {
		t.Run(args[0], func(t *testing.T) {
			loomd := program.Start(t, args...)
			if code := loomd.WaitExit(t, soon); code == 0 {
				t.Error("exit code 0")
			}
			for _, want := range []string{busy, "-listen"} {
				if !strings.Contains(loomd.Stderr(), want) {
					t.Errorf("the error does not name %s:\n%s", want, loomd.Stderr())
				}
			}
			if lines := strings.Count(strings.TrimSpace(loomd.Stderr()), "\n"); lines > 5 {
				t.Errorf("the error is lost among %d lines:\n%s", lines, loomd.Stderr())
			}
		})
	}
}
