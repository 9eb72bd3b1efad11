package relay_test

import (
	"io"
	"strings"
	"testing"
)

// What is no HTTP/2 at all.
func TestCallerIsNotHTTP2(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		conn := r.connect()
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 415 ") {
			t.Fatalf("answer %q, error %v", answer, err)
		}
	})
}
