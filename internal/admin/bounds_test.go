package admin

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	loomv1 "loom/api/loom/v1"
)

// eventually waits for what real sockets and a real clock bring about.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so after 20 s: %s", what)
		}
	}
}

// TestConnectionsAreBounded opens as many as there may be, and one more.
func TestConnectionsAreBounded(t *testing.T) {
	g := newRig(t, everybody())
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for range maxConns {
		c, err := net.Dial("unix", g.socket)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	last, err := net.Dial("unix", g.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	_ = last.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := last.Read(make([]byte, 1)); err == nil || n > 0 {
		t.Errorf("one connection more than %d is served", maxConns)
	}
	if n := g.server.opts.Counters.Connections.Load(); n != 1 {
		t.Errorf("%d connections are counted as refused, want 1", n)
	}
	for _, c := range open {
		c.Close()
	}
	open = nil
	eventually(t, "there is room again", func() bool {
		_, err := g.GetStatus(within(t), &loomv1.GetStatusRequest{})
		return err == nil
	})
}

// TestStreamsAreBounded watches as often as one may, and once more.
func TestStreamsAreBounded(t *testing.T) {
	g := newRig(t, everybody())
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	watch := func() error {
		stream, err := g.WatchCalls(ctx, &loomv1.WatchCallsRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	for range maxStreams {
		if err := watch(); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, "one stream more", watch(), codes.ResourceExhausted)
	if n := g.server.opts.Counters.Streams.Load(); n != 1 {
		t.Errorf("%d streams are counted as refused, want 1", n)
	}
}

// TestCallsAreBounded keeps every place taken while one more comes.
func TestCallsAreBounded(t *testing.T) {
	g := newRig(t, everybody())
	for range maxCalls {
		g.server.calls <- struct{}{}
	}
	_, err := g.GetStatus(within(t), &loomv1.GetStatusRequest{})
	wantCode(t, "one call more", err, codes.ResourceExhausted)
	for range maxCalls {
		<-g.server.calls
	}
	_, err = g.GetStatus(within(t), &loomv1.GetStatusRequest{})
	if n := g.server.opts.Counters.Calls.Load(); err != nil || n != 1 {
		t.Errorf("%d calls are counted as refused, want 1; %v", n, err)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	g := newRig(t, everybody())
	_, err := g.CheckConfig(within(t), &loomv1.CheckConfigRequest{Text: make([]byte, maxRequest)})
	wantCode(t, "a large request", err, codes.ResourceExhausted)
	full, err := g.CheckConfig(within(t), &loomv1.CheckConfigRequest{Text: make([]byte, 1<<20)})
	if err != nil || len(full.GetErrors()) == 0 {
		t.Errorf("a file of 1 MiB: %v, %v", full, err)
	}
}

// TestEnd ends a service that somebody watches.
func TestEnd(t *testing.T) {
	g := newRig(t, everybody())
	stream, err := g.WatchCalls(within(t), &loomv1.WatchCallsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	g.stop()
	_, err = stream.Recv()
	wantCode(t, "the stream", err, codes.Unavailable)
	select {
	case err := <-g.served:
		g.served <- err
	case <-time.After(20 * time.Second):
		t.Fatal("Serve has not returned")
	}
	if _, err := net.Dial("unix", g.socket); err == nil {
		t.Error("the socket is still listened on")
	}
}
