package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
	"loom/test/rawbytes"
)

const (
	echoMethod = "/loom.test.Echo/Call"
	chatMethod = "/loom.test.Echo/Chat"
	failMethod = "/loom.test.Echo/Fail"
)

const (
	// inForce is how soon an edit is in force.
	inForce = 500 * time.Millisecond
	// patience is how long a test waits where the machine is busy with others.
	patience = 20 * time.Second
)

// world is a loomd whose file is edited.
type world struct {
	t            *testing.T
	loomd        *daemon.Process
	socket       string
	file         string
	listen       string
	metrics      string
	first, other string // backends, which answer with their name and the question

	took []time.Duration // until each edit was seen in force
}

// parts are what a test changes of a loom.yaml.
type parts struct {
	listeners, backends, routes string
	rest                        string
}

// newWorld starts a loomd. first is of its file; the zero value is parts.
func newWorld(t *testing.T) (*world, parts) {
	t.Helper()
	w := &world{
		t: t, listen: daemon.FreeAddress(t), metrics: daemon.FreeAddress(t), first: serveEcho(t, "first"), other: serveEcho(t, "other"),
		file: filepath.Join(t.TempDir(), "loom.yaml"),
	}
	p := parts{
		listeners: fmt.Sprintf("{name: plain, address: %q}", w.listen),
		backends:  fmt.Sprintf("a: {targets: [%q], breaker: {}}", w.first),
		routes:    "{name: all, backend: a}",
	}
	w.socket = filepath.Join(daemon.SocketFolder(t), "admin.sock")
	w.write(p)
	w.loomd = program.Start(t, "-config", w.file, "-admin", w.socket)
	w.loomd.WaitListening(t, w.listen)
	w.loomd.WaitListening(t, "unix:"+w.socket)
	t.Cleanup(w.wantSoon)
	return w, p
}

func (w *world) text(p parts) string {
	return fmt.Sprintf("listeners: [%s]\nbackends: {%s}\nroutes: [%s]\nmetrics: {address: %q}\n%s", p.listeners, p.backends, p.routes, w.metrics, p.rest)
}

func (w *world) write(p parts) {
	w.t.Helper()
	if err := os.WriteFile(w.file, []byte(w.text(p)), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// apply writes a file and has it applied.
func (w *world) apply(p parts) {
	w.t.Helper()
	w.write(p)
	if code, _, said := w.ctl("apply"); code != 0 {
		w.t.Fatalf("loomctl apply ends with %d:\n%s\n%s", code, w.text(p), said)
	}
}

// edit writes a file and waits until loomd has seen it.
func (w *world) edit(p parts, seen func() bool) {
	w.t.Helper()
	w.write(p)
	w.soon("the edit is in force", seen)
}

// soon waits until something is so, and notes how long that took.
func (w *world) soon(what string, seen func() bool) {
	w.t.Helper()
	begun := time.Now()
	for !seen() {
		if time.Since(begun) > patience {
			w.t.Fatalf("not so after %v: %s\nproblem: %s", patience, what, w.problem())
		}
		time.Sleep(5 * time.Millisecond)
	}
	w.took = append(w.took, time.Since(begun))
}

// wantSoon wants edits seen in the time that they have, but for the few that a
// busy machine is late with.
func (w *world) wantSoon() {
	slices.Sort(w.took)
	if n := len(w.took); n > 0 && w.took[n/2] > inForce {
		w.t.Errorf("edits were in force after %v; half of them have to be within %v", w.took, inForce)
	}
}

// ctl runs loomctl.
func (w *world) ctl(args ...string) (code int, out, said string) {
	w.t.Helper()
	command := exec.Command(loomctl, append(args, "--socket", w.socket)...)
	var stdout, stderr strings.Builder
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		w.t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// status returns what loomctl status says under a name; empty if nothing.
func (w *world) status(name string) string {
	w.t.Helper()
	_, out, _ := w.ctl("status")
	for line := range strings.Lines(out) {
		if value, ok := strings.CutPrefix(line, name+"\t"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// problem is why the file is not in force, as people are told; empty if it is.
func (w *world) problem() string { return w.status("config problem") }

// has reports whether the configuration in force has a line.
func (w *world) has(line string) bool {
	w.t.Helper()
	_, out, _ := w.ctl("config", "show")
	return strings.Contains(out, strings.Replace(line, ": ", "\t", 1)+"\n")
}

// figure returns the value of a metric without labels; empty if it is not there.
func (w *world) figure(name string) string {
	w.t.Helper()
	answer, err := http.Get("http://" + w.metrics + "/metrics")
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// call makes a call and returns the answer.
func call(ctx context.Context, conn *grpc.ClientConn, method, question string) (string, error) {
	in, out := []byte(question), []byte(nil)
	err := conn.Invoke(ctx, method, &in, &out, grpc.ForceCodecV2(rawbytes.Codec{}))
	return string(out), err
}

// serveEcho answers each message with its name and the message.
func serveEcho(t *testing.T, name string) string {
	t.Helper()
	chat := func(stream grpc.ServerStream) error {
		for {
			message, err := rawbytes.Receive(stream)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			answer := []byte(name + " " + string(message))
			if err := stream.SendMsg(&answer); err != nil {
				return err
			}
		}
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawbytes.Codec{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "loom.test.Echo", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{
			rawbytes.Stream("Call", chat), rawbytes.Stream("Chat", chat),
			rawbytes.Stream("Fail", func(grpc.ServerStream) error { return status.Error(codes.Unavailable, "it fails") }),
		},
	}, struct{}{})
	return daemon.Serve(t, server)
}

// chat is a stream that stays open.
type chat struct {
	t      *testing.T
	stream grpc.ClientStream
	sent   int
}

func openChat(t *testing.T, conn *grpc.ClientConn) *chat {
	t.Helper()
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, chatMethod, grpc.ForceCodecV2(rawbytes.Codec{}))
	if err != nil {
		t.Fatal(err)
	}
	return &chat{t: t, stream: stream}
}

// say sends a message and wants the answer of a backend.
func (c *chat) say(backend string) {
	c.t.Helper()
	c.sent++
	message := fmt.Appendf(nil, "message %d", c.sent)
	if err := c.stream.SendMsg(&message); err != nil {
		c.t.Fatal(err)
	}
	answer, err := rawbytes.Receive(c.stream)
	if want := backend + " " + string(message); err != nil || string(answer) != want {
		c.t.Fatalf("the stream brought %q, %v; want %q", answer, err, want)
	}
}

// end ends the stream in order.
func (c *chat) end() {
	c.t.Helper()
	if err := c.stream.CloseSend(); err != nil {
		c.t.Fatal(err)
	}
	if _, err := rawbytes.Receive(c.stream); !errors.Is(err, io.EOF) {
		c.t.Fatalf("the stream ended with %v", err)
	}
}
