package grpcurl

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	loomv1 "loom/api/loom/v1"
	"loom/internal/decode"
)

// hostileTexts would break out of their quotes, end the input early, or be
// taken for options, if anything of that were possible.
var hostileTexts = []string{
	"'", `'\''`, `';touch pwned;'`, "$(touch pwned)", "`touch pwned`", "a\nb\r\n", "$HOME ${HOME}", `"`, `\`, `\\'`, "-plaintext", "@",
	"%s%n", "!!", "#", "*", "~", "\x00", "\x1b[2J", "\u202egnp.exe", "\ufeff", "</script>", "😀", "\nLOOM_MESSAGES\ntouch pwned\n", "\u2028", "}{",
}

// buildGrpcurl compiles the real grpcurl. Its module is kept apart, because of
// all that it needs.
func buildGrpcurl(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(folder, "grpcurl"), "github.com/fullstorydev/grpcurl/cmd/grpcurl")
	build.Dir = filepath.Join("..", "..", "test", "grpcurl")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build grpcurl: %v\n%s", err, output)
	}
	return folder
}

// paste runs a command in a shell, in a folder that must stay empty.
func paste(t *testing.T, tools, command string) {
	t.Helper()
	// In a file, as an argument of sh could be too long.
	file := filepath.Join(t.TempDir(), "command")
	if err := os.WriteFile(file, []byte(command), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "/bin/sh", file)
	shell.Dir = t.TempDir()
	shell.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"))
	if output, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("run %.500s: %v\n%.2000s", command, err, output)
	}
	left, err := os.ReadDir(shell.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("the command ran something else: it left %v (%v)", left, err)
	}
}

// note returns a message on the wire.
func note(t *testing.T, desc protoreflect.MessageDescriptor, set func(m *dynamicpb.Message, field func(name string) protoreflect.FieldDescriptor)) []byte {
	t.Helper()
	m := dynamicpb.NewMessage(desc)
	set(m, func(name string) protoreflect.FieldDescriptor { return desc.Fields().ByName(protoreflect.Name(name)) })
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// hostileNotes returns messages that hold the hostile texts, one each, and then
// all of them.
func hostileNotes(t *testing.T, desc protoreflect.MessageDescriptor) [][]byte {
	t.Helper()
	type fields = func(name string) protoreflect.FieldDescriptor
	var notes [][]byte
	for _, text := range hostileTexts {
		notes = append(notes, note(t, desc, func(m *dynamicpb.Message, field fields) {
			m.Set(field("text"), protoreflect.ValueOfString(text))
		}))
	}
	return append(notes, note(t, desc, func(m *dynamicpb.Message, field fields) {
		m.Set(field("text"), protoreflect.ValueOfString(strings.Join(hostileTexts, "")))
		raw := make([]byte, 256)
		for i := range raw {
			raw[i] = byte(i)
		}
		m.Set(field("raw"), protoreflect.ValueOfBytes(raw))
		m.Set(field("big_number"), protoreflect.ValueOfInt64(math.MinInt64+1))
		for _, text := range hostileTexts {
			m.Mutable(field("words")).List().Append(protoreflect.ValueOfString(text))
		}
		m.Mutable(field("child")).Message().Set(field("ratio"), protoreflect.ValueOfFloat64(math.Inf(-1)))
		m.Set(field("ratio"), protoreflect.ValueOfFloat64(0.1))
		m.Mutable(field("zeros")).List().Append(protoreflect.ValueOfInt32(0))
	}), nil)
}

// longNote is one that does not fit in an argument.
func longNote(t *testing.T, desc protoreflect.MessageDescriptor) []byte {
	t.Helper()
	return note(t, desc, func(m *dynamicpb.Message, field func(string) protoreflect.FieldDescriptor) {
		m.Set(field("text"), protoreflect.ValueOfString(strings.Repeat("😀'$(touch pwned)\n", 1<<16)))
	})
}

// shown returns the messages as the inspector shows and copies them.
func shown(t *testing.T, desc protoreflect.MethodDescriptor, messages [][]byte) []json.RawMessage {
	t.Helper()
	var out []json.RawMessage
	decoder := decode.New(decode.Limits{}, nil)
	for _, data := range messages {
		result := decoder.Message(&decode.Method{Desc: desc}, loomv1.Direction_DIRECTION_REQUEST, "", &loomv1.Message{Size: uint64(len(data)), Data: data})
		if result.Err != "" || result.Truncated || len(result.Unknown) > 0 {
			t.Fatalf("decode: %+v", result)
		}
		out = append(out, result.JSON)
	}
	return out
}

// hostileMetadata is what a backend may get: printable ASCII, and any bytes
// under a name that ends in -bin.
func hostileMetadata() []*loomv1.Metadata {
	fields := []*loomv1.Metadata{
		text(":path", "/x"), text("content-type", "application/grpc"), text("te", "trailers"), text("user-agent", "recorded"), text("grpc-timeout", "1n"),
		text("authorization", "Bearer secret"), text("x-bin", "AP8,AQ=="), text("x-bin", "Ag"), {Name: "x-bin", Content: &loomv1.Metadata_Binary{Binary: []byte("'\xff")}}, text("plain", "1"), text("plain", "2"),
	}
	for _, value := range []string{"'", `'\''`, "';touch pwned;'", "$(touch pwned)", "`touch pwned`", `"`, `\`, "${HOME}", "a: b", "@x", "-x", "#", "!!", "a,b"} {
		fields = append(fields, text("hostile", value))
	}
	return fields
}

func wantMetadata() map[string][]string {
	want := map[string][]string{
		"authorization": nil, "x-bin": {"\x00\xff", "\x01", "\x02", "'\xff"}, "plain": {"1", "2"}, "grpc-timeout": nil,
	}
	for _, m := range hostileMetadata() {
		if m.GetName() == "hostile" {
			want["hostile"] = append(want["hostile"], m.GetText())
		}
	}
	return want
}

// TestBackendGetsTheSame pastes commands into a real shell, which runs the real
// grpcurl. An earlier inspector left a ' as it was, knew the first message
// only, and lost the metadata.
func TestBackendGetsTheSame(t *testing.T) {
	file, files := schema(t)
	tools := buildGrpcurl(t)
	b := &backend{}
	tcp := listen(t, "tcp", "127.0.0.1:0")
	b.start(t, tcp, files)
	socket := filepath.Join(t.TempDir(), "it's a socket")
	b.start(t, listen(t, "unix", socket), files)
	mute := listen(t, "tcp", "127.0.0.1:0")
	b.start(t, mute, nil)
	protoset := writeProtoset(t, file)

	input := method(t, files, "Unary").Input()
	notes := hostileNotes(t, input)
	for _, test := range []struct {
		name, method string
		command      Command
		messages     [][]byte
	}{
		{"unary", "Unary", Command{Address: tcp.Addr().String()}, notes[len(notes)-2 : len(notes)-1]},
		{"empty unary", "Unary", Command{Address: tcp.Addr().String()}, notes[len(notes)-1:]},
		{"long unary", "Unary", Command{Address: tcp.Addr().String()}, [][]byte{longNote(t, input)}},
		{"client stream", "Up", Command{Address: tcp.Addr().String(), Authority: "shop.example"}, notes},
		{"client stream with none", "Up", Command{Address: tcp.Addr().String()}, nil},
		{"long client stream", "Up", Command{Address: tcp.Addr().String()}, append(slices.Clone(notes), longNote(t, input))},
		{"server stream", "Down", Command{Address: tcp.Addr().String(), Timeout: time.Minute}, notes[:1]},
		{"both ways", "Both", Command{Address: tcp.Addr().String(), MaxMessage: 8 << 20}, notes},
		{"over a Unix socket", "Both", Command{Address: socket, Unix: true}, notes},
		{"without reflection", "Both", Command{Address: mute.Addr().String(), Protoset: protoset}, notes},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := test.command
			c.Plaintext, c.Path, c.Metadata = true, "/test.Echo/"+test.method, hostileMetadata()
			c.Messages = shown(t, method(t, files, test.method), test.messages)
			command, err := c.Shell()
			if err != nil {
				t.Fatal(err)
			}
			paste(t, tools, command)
			calls := b.take()
			if len(calls) != 1 || calls[0].path != c.Path {
				t.Fatalf("the backend got %d calls, want one of %s", len(calls), c.Path)
			}
			same(t, calls[0], test.messages, c)
		})
	}
}

// TestEachHostileTextAlone has each in a call of its own, so that none hides
// behind another.
func TestEachHostileTextAlone(t *testing.T) {
	_, files := schema(t)
	tools := buildGrpcurl(t)
	b := &backend{}
	tcp := listen(t, "tcp", "127.0.0.1:0")
	b.start(t, tcp, files)
	unary := method(t, files, "Unary")
	for i, message := range hostileNotes(t, unary.Input()) {
		c := Command{Address: tcp.Addr().String(), Plaintext: true, Path: "/test.Echo/Unary", Messages: shown(t, unary, [][]byte{message})}
		command, err := c.Shell()
		if err != nil {
			t.Fatal(err)
		}
		paste(t, tools, command)
		if calls := b.take(); len(calls) != 1 || len(calls[0].messages) != 1 || !bytes.Equal(calls[0].messages[0], message) {
			t.Errorf("message %d: the backend got %.500v, want %q", i, calls, message)
		}
	}
}

// same compares what the backend got with what was copied.
func same(t *testing.T, got received, messages [][]byte, c Command) {
	t.Helper()
	if len(got.messages) != len(messages) {
		t.Fatalf("the backend got %d messages, want %d", len(got.messages), len(messages))
	}
	for i, want := range messages {
		if !bytes.Equal(got.messages[i], want) {
			t.Errorf("message %d: got %.300q, want %.300q", i+1, got.messages[i], want)
		}
	}
	for name, want := range wantMetadata() {
		// A -max-time of grpcurl's own is told to the backend.
		if name == "grpc-timeout" && c.Timeout > 0 {
			continue
		}
		if !slices.Equal(got.metadata[name], want) {
			t.Errorf("%s: got %q, want %q", name, got.metadata[name], want)
		}
	}
	if c.Authority != "" && !slices.Equal(got.metadata[":authority"], []string{c.Authority}) {
		t.Errorf("authority %q, want %s", got.metadata[":authority"], c.Authority)
	}
}

// writeProtoset puts the descriptors into a file with a name that needs quotes.
func writeProtoset(t *testing.T, file *descriptorpb.FileDescriptorProto) string {
	t.Helper()
	data, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{file}})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "it's $(touch pwned).protoset")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
