package loomd

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/test/daemon"
	"loom/test/rawbytes"
)

// TestDrain ends loomd while a call is open: it accepts no more, the call goes
// on in both directions, and when it is over loomd ends at once and well.
func TestDrain(t *testing.T) {
	b := startBackend(t)
	loomd, address := startLoomd(t, b, "restart: {drain: 30s}\n")
	stream := dial(t, address).start(t)
	<-b.arrived

	loomd.Signal(t, syscall.SIGTERM)
	waitRefused(t, loomd, address)

	b.release <- struct{}{}
	wantMessage(t, stream, "first")
	send(t, stream, "second")
	<-b.arrived
	b.release <- struct{}{}
	wantMessage(t, stream, "second")
	if err := stream.CloseSend(); err != nil {
		t.Fatalf("end the request: %v", err)
	}
	if message, err := rawbytes.Receive(stream); !errors.Is(err, io.EOF) {
		t.Errorf("the call ended with %q and %v, want OK", message, err)
	}
	if code := loomd.WaitExit(t, 5*time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestDrainIdle has nothing to wait for but clients that are connected.
func TestDrainIdle(t *testing.T) {
	b := startBackend(t)
	loomd, address := startLoomd(t, b, "restart: {drain: 30s}\n")
	stream := dial(t, address).start(t)
	<-b.arrived
	b.release <- struct{}{}
	wantMessage(t, stream, "first")
	if err := stream.CloseSend(); err != nil {
		t.Fatalf("end the request: %v", err)
	}
	if _, err := rawbytes.Receive(stream); !errors.Is(err, io.EOF) {
		t.Fatalf("the call ended with %v, want OK", err)
	}
	loomd.Signal(t, syscall.SIGTERM)
	if code := loomd.WaitExit(t, 5*time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestDrainLimit cuts the call that is still open when the time is over.
func TestDrainLimit(t *testing.T) {
	b := startBackend(t)
	loomd, address := startLoomd(t, b, "restart: {drain: 1s}\n")
	stream := dial(t, address).start(t)
	<-b.arrived
	started := time.Now()
	loomd.Signal(t, syscall.SIGTERM)
	_, err := rawbytes.Receive(stream)
	if took := time.Since(started); took < 900*time.Millisecond {
		t.Errorf("the call was cut after %v of 1s", took)
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the call ended with %v, want UNAVAILABLE", err)
	}
	loomd.WaitExit(t, 5*time.Second)
}

// TestSecondSignalCuts does not wait for the drain.
func TestSecondSignalCuts(t *testing.T) {
	b := startBackend(t)
	loomd, address := startLoomd(t, b, "restart: {drain: 30s}\n")
	stream := dial(t, address).start(t)
	<-b.arrived
	loomd.Signal(t, syscall.SIGTERM)
	waitRefused(t, loomd, address)
	loomd.Signal(t, syscall.SIGTERM)
	if _, err := rawbytes.Receive(stream); status.Code(err) != codes.Unavailable {
		t.Errorf("the call ended with %v, want UNAVAILABLE", err)
	}
	loomd.WaitExit(t, 2*time.Second)
}

// waitRefused returns once nobody accepts on the address any more.
func waitRefused(t *testing.T, loomd *daemon.Process, address string) {
	t.Helper()
	loomd.Await(t, "loomd refuses new connections", func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return errors.Is(err, syscall.ECONNREFUSED)
		}
		conn.Close()
		return false
	})
}
