package retry

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Copies of calls go to another backend, whatever becomes of them there.
func TestMirror(t *testing.T) {
	b := serve(t, fine)
	other := serve(t, func(context.Context, grpc.ServerStream, int) error { return status.Error(codes.Internal, "broken") })
	address := start(t, fmt.Sprintf(`
backends: {b: {targets: [%q], authority: users.internal}, other: {targets: [%q]}}
routes:
  - name: all
    backend: b
    mirror: {backend: other, percent: 100}
    forwarded_for: true
    metadata:
      request: {append: {x-tag: loom}, remove: [x-forwarded-for]}
      response: {append: {x-answered-by: loom}}
`, b.address, other.address))
	conn := dial(t, address)
	const calls = 50
	for range calls {
		if answer, err := get(t, conn, "x-tag", "client", "x-forwarded-for", "203.0.113.1"); err != nil || answer != "answer" {
			t.Fatalf("the call ended with %q, %v", answer, err)
		}
	}
	eventually(t, "every call was copied", func() bool { return len(other.got()) == calls })
	for i, c := range other.got() {
		if c.question != "question" || fmt.Sprint(c.metadata.Get("x-tag")) != "[client loom]" {
			t.Errorf("copy %d asks %q with %v", i, c.question, c.metadata)
		}
	}
	for i, c := range b.got() {
		if a, f := c.metadata.Get(":authority"), c.metadata.Get("x-forwarded-for"); fmt.Sprint(a, f) != "[users.internal] [127.0.0.1]" {
			t.Errorf("call %d has authority %v, forwarded for %v", i, a, f)
		}
	}
	var header metadata.MD
	question, reply := []byte("question"), []byte(nil)
	if err := conn.Invoke(t.Context(), method, &question, &reply, grpc.Header(&header)); err != nil {
		t.Fatal(err)
	}
	if got := header.Get("x-answered-by"); len(got) != 1 || got[0] != "loom" {
		t.Errorf("the answer has %v", header)
	}

	// The other backend dies: nobody sees it.
	other.server.Stop()
	for range calls {
		if _, err := get(t, conn); err != nil {
			t.Fatalf("the call ended with %v", err)
		}
	}
}
