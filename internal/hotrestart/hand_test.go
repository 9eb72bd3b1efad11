//go:build linux

package hotrestart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"loom/internal/loomtest"
)

// patient bounds what a test waits for.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// listen returns a listener on loopback, and how it crosses.
func listen(t *testing.T, key string) (*net.TCPListener, Socket) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	tcp := l.(*net.TCPListener)
	return tcp, Socket{Key: key, Conn: tcp}
}

// ask returns what is answered at the address.
func ask(t *testing.T, address net.Addr) string {
	t.Helper()
	conn, err := net.DialTimeout(address.Network(), address.String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	text, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// closeSuccessor ends a successor of a test.
func closeSuccessor(s *Successor) {
	s.Kill()
	s.Release()
	_ = s.Link().Close()
}

func TestHand(t *testing.T) {
	loomtest.CheckLeaks(t)
	before := openDescriptors(t)
	listener, socket := listen(t, "tcp one")
	other, dropped := listen(t, "tcp two")
	sections := []Section{
		{Name: "small", Version: 3, Save: func() ([]byte, error) { return []byte("abc"), nil }},
		{Name: "large", Version: 4, Save: func() ([]byte, error) { return make([]byte, 3<<20), nil }},
		{Name: "empty", Save: func() ([]byte, error) { return nil, nil }},
		{Name: "broken", Save: func() ([]byte, error) { return nil, errors.New("no disk") }},
	}
	var steps []string
	s, err := Hand(patient(t), successorCommand(t, "serve", "TAKE=tcp", "SECTIONS=small large empty broken"), Offer{
		Generation: 2, Sockets: []Socket{{Key: "tcp", Conn: socket.Conn}, dropped}, Sections: sections,
	}, Options{Build: "test", Progress: func(step Step, what string) {
		if what == "" {
			steps = append(steps, string(step))
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if text := ask(t, listener.Addr()); text != "generation 2 small 3 3 large 4 3145728 empty 0 0" {
		t.Errorf("the successor answers %q", text)
	}
	if p := s.Plan(); fmt.Sprint(p) != "{[tcp] [] [tcp two]}" {
		t.Errorf("plan %v", p)
	}
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "broken") || !strings.Contains(w[0], "no disk") {
		t.Errorf("warnings %q", w)
	}
	if got := strings.Join(steps, " "); !strings.HasPrefix(got, "check spawn greet sockets state prepare") || !strings.HasSuffix(got, "start") {
		t.Errorf("steps %s", got)
	}
	echo := Message{Name: "echo", Version: 9, Data: []byte(strings.Repeat("x", 1<<20))}
	if err := s.Link().Send(patient(t), echo); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Link().Receive(patient(t)); err != nil || m.Name != "echo" || m.Version != 9 || !bytes.Equal(m.Data, echo.Data) {
		t.Errorf("received %s %d, %d bytes, %v", m.Name, m.Version, len(m.Data), err)
	}
	select {
	case <-s.Died():
		t.Error("the successor is said to be dead")
	default:
	}
	s.Kill()
	if _, err := s.Link().Receive(patient(t)); !errors.Is(err, io.EOF) {
		t.Errorf("the link of a dead successor gives %v", err)
	}
	closeSuccessor(s)
	// The socket is still ours: what came in the meantime is served.
	go answer(listener, "the old one")
	if text := ask(t, listener.Addr()); text != "the old one" {
		t.Errorf("the old process answers %q", text)
	}
	_ = listener.Close()
	_ = other.Close()
	expectDescriptors(t, before)
}

// openDescriptors counts what this process has open, once the poller is there.
func openDescriptors(t *testing.T) int {
	t.Helper()
	listener, _ := listen(t, "to have the poller started")
	_ = listener.Close()
	return countDescriptors(t)
}

func countDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func expectDescriptors(t *testing.T, before int) {
	t.Helper()
	if now := countDescriptors(t); now != before {
		t.Errorf("%d descriptors were open, now %d are", before, now)
	}
}

// fileLimit is the soft limit of open files that a program started here has.
func fileLimit() string {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err.Error()
	}
	return strconv.FormatUint(l.Cur, 10)
}
