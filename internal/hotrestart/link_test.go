//go:build linux

package hotrestart

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"loom/internal/loomtest"
)

// pair returns the two ends of a channel.
func pair(t *testing.T) (*channel, *channel) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*channel
	for i, side := range []string{"old", "new"} {
		if ends[i], err = adoptChannel(os.NewFile(uintptr(fds[i]), side), side); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(ends[i].close)
	}
	return ends[0], ends[1]
}

func linked(t *testing.T) (*Link, *Link) {
	t.Helper()
	a, b := pair(t)
	return newLink(2, 0, a), newLink(1, 0, b)
}

// TestLink sends messages of all sizes both ways, from several goroutines.
func TestLink(t *testing.T) {
	loomtest.CheckLeaks(t)
	before := openDescriptors(t)
	older, newer := linked(t)
	sizes := []int{0, 1, 1000, maxFrame - 200, maxFrame, 300_000}
	const senders, rounds = 4, 20
	var sending sync.WaitGroup
	for _, l := range []*Link{older, newer} {
		for sender := range senders {
			sending.Go(func() {
				for round := range rounds {
					size := sizes[round%len(sizes)]
					m := Message{Name: fmt.Sprintf("from %d", sender), Version: uint32(round), Data: bytes.Repeat([]byte{byte(sender)}, size)}
					if err := l.Send(patient(t), m); err != nil {
						t.Errorf("send: %v", err)
					}
				}
			})
		}
	}
	for _, l := range []*Link{older, newer} {
		next := map[string]uint32{}
		for range senders * rounds {
			m, err := l.Receive(patient(t))
			if err != nil {
				t.Fatal(err)
			}
			if m.Version != next[m.Name] {
				t.Fatalf("message %d of %q, want %d", m.Version, m.Name, next[m.Name])
			}
			if size := sizes[int(m.Version)%len(sizes)]; len(m.Data) != size || size > 0 && fmt.Sprintf("from %d", m.Data[size-1]) != m.Name {
				t.Fatalf("message %d of %q has %d bytes, want %d", m.Version, m.Name, len(m.Data), size)
			}
			next[m.Name]++
		}
	}
	sending.Wait()
	_, _ = older.Close(), newer.Close()
	expectDescriptors(t, before)
}

// TestLinkEnds has all that was sent received before the end is, though the
// other process ends with messages that it has not read. The kernel then says
// first that the connection was reset.
func TestLinkEnds(t *testing.T) {
	older, newer := linked(t)
	for i := range uint32(3) {
		if err := older.Send(patient(t), Message{Name: "last words", Version: i}); err != nil {
			t.Fatal(err)
		}
	}
	if err := newer.Send(patient(t), Message{Name: "unread"}); err != nil {
		t.Fatal(err)
	}
	_ = older.Close()
	for i := range uint32(3) {
		if m, err := newer.Receive(patient(t)); err != nil || m.Version != i {
			t.Fatalf("message %d: received %d, %v", i, m.Version, err)
		}
	}
	if _, err := newer.Receive(patient(t)); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	if err := newer.Send(patient(t), Message{Name: "late"}); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("send after the end: %v", err)
	}
}

func TestLinkWaits(t *testing.T) {
	loomtest.CheckLeaks(t)
	older, newer := linked(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := newer.Receive(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("receive: %v", err)
	}
	late, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	sent := uint32(0)
	var err error
	for ; err == nil; sent++ {
		err = older.Send(late, Message{Name: "much", Version: sent, Data: make([]byte, maxFrame-200)})
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("send to a full socket: %v", err)
	}
	// Nothing that was sent is lost, nothing else is there, and the link is good.
	for i := range sent - 1 {
		if m, err := newer.Receive(patient(t)); err != nil || m.Version != i {
			t.Fatalf("message %d: received %d, %v", i, m.Version, err)
		}
	}
	if err := older.Send(patient(t), Message{Name: "again"}); err != nil {
		t.Fatal(err)
	}
	if m, err := newer.Receive(patient(t)); err != nil || m.Name != "again" {
		t.Errorf("received %q, %v", m.Name, err)
	}
}

// TestLinkCancelLosesNothing ends Receive at any moment: a message has been
// returned, or the next Receive returns it.
func TestLinkCancelLosesNothing(t *testing.T) {
	loomtest.CheckLeaks(t)
	older, newer := linked(t)
	const count = 2000
	var sending sync.WaitGroup
	sending.Go(func() {
		for i := range uint32(count) {
			if err := older.Send(patient(t), Message{Name: "n", Version: i}); err != nil {
				t.Errorf("send: %v", err)
				return
			}
		}
	})
	for next := uint32(0); next < count; {
		ctx, cancel := context.WithCancel(patient(t))
		go cancel()
		m, err := newer.Receive(ctx)
		switch {
		case err == nil && m.Version == next:
			next++
		case !errors.Is(err, context.Canceled):
			t.Fatalf("received %d, %v; want %d", m.Version, err, next)
		}
	}
	sending.Wait()
}

func TestLinkSurvivesDamage(t *testing.T) {
	older, newer := linked(t)
	file, err := os.CreateTemp(t.TempDir(), "") // which anybody could change
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for says, f := range map[string]*frame{
		"its file is not sealed": {kind: kindMessage, head: []byte(`{"name":"a"}`), flags: bodyInFile, descriptors: 1, bodyLen: 5},
		"its checksum":           {kind: kindMessage, head: []byte(`{"name":"a"}`), body: []byte("abc"), bodyLen: 3},
		"a name of 0 bytes":      {kind: kindMessage, head: []byte(`{}`)},
		"invalid character":      {kind: kindMessage, head: []byte(`no JSON`)},
		"of version 9":           {kind: kindMessage, version: 9},
	} {
		var oob []byte
		if f.descriptors > 0 {
			oob = unix.UnixRights(int(file.Fd()))
		}
		if _, _, err := older.channel.conn.WriteMsgUnix(f.encode(), oob, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := newer.Receive(patient(t)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("received with %v, want %q", err, says)
		}
	}
	if err := older.Send(patient(t), Message{Name: "again"}); err != nil {
		t.Fatal(err)
	}
	if m, err := newer.Receive(patient(t)); err != nil || m.Name != "again" {
		t.Errorf("received %q, %v", m.Name, err)
	}
}

// TestLinkIsHandedOn replaces the successor again and again, while messages are
// on their way to whoever is there.
func TestLinkIsHandedOn(t *testing.T) {
	loomtest.CheckLeaks(t)
	listener, socket := listen(t, "tcp")
	s, err := Hand(patient(t), successorCommand(t, "serve", "TAKE=tcp"), Offer{Generation: 2, Sockets: []Socket{socket}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	link := s.Link()
	defer func() { _ = link.Close() }()
	const generations, each = 4, 50
	var sending sync.WaitGroup
	sending.Go(func() {
		for i := range uint64(generations * each) {
			if i%each == each/2 {
				if err := link.Send(patient(t), Message{Name: "hand on"}); err != nil {
					t.Errorf("send: %v", err)
				}
			}
			if err := link.Send(patient(t), Message{Name: "echo", Data: binary.BigEndian.AppendUint64(nil, i)}); err != nil {
				t.Errorf("send: %v", err)
			}
		}
	})
	for i := range uint64(generations * each) {
		m, err := link.Receive(patient(t))
		if err != nil {
			t.Fatal(err)
		}
		if m.Name != "echo" || binary.BigEndian.Uint64(m.Data) != i {
			t.Fatalf("received %q %q, want echo %d", m.Name, m.Data, i)
		}
	}
	sending.Wait()
	if text := ask(t, listener.Addr()); text != fmt.Sprintf("generation %d", 2+generations) {
		t.Errorf("the last one answers %q", text)
	}
	select {
	case <-s.Died(): // the direct successor ended, and the link lives
	case <-patient(t).Done():
		t.Error("the first successor is still there")
	}
	// The last one ends with its link.
}

// TestLinkAfterFailedHandover goes on with the links that were offered.
func TestLinkAfterFailedHandover(t *testing.T) {
	loomtest.CheckLeaks(t)
	older, mine := linked(t)
	older.channel.version, mine.channel.version = newest, newest
	if err := older.Send(t.Context(), Message{Name: "before"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ends at once", "refuses", "ends started"} {
		_, err := Hand(patient(t), successorCommand(t, name), Offer{Generation: 3, Links: []*Link{mine}}, Options{Stderr: scratch(t)})
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
	}
	if m, err := mine.Receive(patient(t)); err != nil || m.Name != "before" {
		t.Errorf("received %q, %v", m.Name, err)
	}
	if err := mine.Send(patient(t), Message{Name: "after"}); err != nil {
		t.Error(err)
	}
	if m, err := older.Receive(patient(t)); err != nil || m.Name != "after" {
		t.Errorf("received %q, %v", m.Name, err)
	}
}
