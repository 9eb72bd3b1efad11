package grpcurl

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	loomv1 "loom/api/loom/v1"
)

// shell runs a command with a grpcurl that prints its arguments, each with a
// NUL behind it, and then its input.
func shell(t *testing.T, command string) (args []string, input string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\nprintf '%s\\0' \"$@\"\ncat\n"
	if err := os.WriteFile(filepath.Join(dir, "grpcurl"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	// In a file, as a person pastes it: as an argument it could be too long.
	file := filepath.Join(dir, "command")
	if err := os.WriteFile(file, []byte(command), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", file)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run %.200q: %v", command, err)
	}
	parts := strings.Split(string(out), "\x00")
	return parts[:len(parts)-1], parts[len(parts)-1]
}

func text(name, value string) *loomv1.Metadata {
	return &loomv1.Metadata{Name: name, Content: &loomv1.Metadata_Text{Text: value}}
}

func TestShellPassesHostileValuesUnchanged(t *testing.T) {
	for _, hostile := range []string{
		"'", `'\''`, "$(touch x)", "`touch x`", "a\nb", "$HOME ${HOME}", `"`, `\`, "-rf", "@", "%s", "😀", "\xff\x01", "; touch x", "#", "!!",
	} {
		message, err := json.Marshal(map[string]string{"a": hostile})
		if err != nil {
			t.Fatal(err)
		}
		command, err := Command{Address: hostile, Path: "/" + hostile, Metadata: []*loomv1.Metadata{text("k", hostile)}, Messages: []json.RawMessage{message, message}}.Shell()
		if err != nil {
			t.Fatal(err)
		}
		args, _ := shell(t, command)
		want := []string{"-H", "k: " + hostile, "-d", string(message) + "\n" + string(message), "--", hostile, hostile}
		if !slices.Equal(args, want) {
			t.Errorf("%q: got %q, want %q", hostile, args, want)
		}
	}
}

func TestShellGivesLongMessagesAsInput(t *testing.T) {
	message := json.RawMessage(`"` + strings.Repeat("$(x)'", argumentBytes) + `"`)
	command, err := Command{Address: "h:1", Path: "/S/M", Messages: []json.RawMessage{message}}.Shell()
	if err != nil {
		t.Fatal(err)
	}
	cmd, input := shell(t, command)
	if !slices.Equal(cmd, []string{"-d", "@", "--", "h:1", "S/M"}) || input != string(message)+"\n" {
		t.Errorf("got %q and %d bytes of input", cmd, len(input))
	}
}

func TestShellLeavesOut(t *testing.T) {
	c := Command{Address: "h:1", Path: "/S/M", Metadata: []*loomv1.Metadata{
		text(":path", "/S/M"), text("te", "trailers"), text("grpc-timeout", "1S"), text("user-agent", "x"),
		text("authorization", "secret"), text("id-token", "secret"), text("x\ntouch token", "secret"), text("b-bin", "AQ,Ag=="),
		{Name: "r", Content: &loomv1.Metadata_Redacted{Redacted: true}},
	}}
	command, err := c.Shell()
	if err != nil || strings.Contains(command, "secret") {
		t.Fatalf("got %s (%v)", command, err)
	}
	args, _ := shell(t, command)
	if want := []string{"-H", "b-bin: AQ", "-H", "b-bin: Ag==", "--", "h:1", "S/M"}; !slices.Equal(args, want) {
		t.Errorf("got %q, want %q", args, want)
	}
	c.Credentials = true
	if command, err = c.Shell(); err != nil || !strings.Contains(command, "'authorization: secret'") || !slices.Equal(c.Omitted(), []string{"r"}) {
		t.Errorf("got %s (%v), without %q", command, err, c.Omitted())
	}
}

func TestShellRefusesWhatIsNoJSON(t *testing.T) {
	if got, err := (Command{Messages: []json.RawMessage{json.RawMessage("@")}}).Shell(); err == nil {
		t.Errorf("got %s", got)
	}
}
