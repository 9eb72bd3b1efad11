package server

import (
	"errors"
	"net"
	"testing"
	"time"
)

// A socket that pauses keeps those who connect until it goes on, and whoever
// accepts on it sees nothing of it.
func TestSocketPauses(t *testing.T) {
	s := bind(t, newBinder(nil, false), "plain", "127.0.0.1:0", 0)
	accepted := make(chan struct{})
	go func() {
		greetOne(s, "here")
		close(accepted)
	}()
	s.pause()
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-accepted:
		t.Fatal("a connection was taken by a socket that pauses")
	case <-time.After(50 * time.Millisecond):
	}
	s.resume()
	wantGreeting(t, nc, "here")
	<-accepted
}

// The end comes while a socket pauses, too, and once.
func TestPausedSocketCloses(t *testing.T) {
	s := bind(t, newBinder(nil, false), "plain", "127.0.0.1:0", 0)
	ended := make(chan error, 1)
	go func() {
		_, err := s.Accept()
		ended <- err
	}()
	s.pause()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Fatalf("Accept ended with %v", err)
	}
	if err := s.Close(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("closed twice: %v", err)
	}
	s.pause()
}
